"""
Tell the warehouse of new orders, and the customer when one was sent: a table's stream.

Run it: ``python examples/order_table.py``.
"""

from faaskit import App, allow

app = App("orders")
orders = app.table("orders", partition_key="id", stream="NEW_AND_OLD_IMAGES")
warehouse = app.queue("warehouse")
mail = app.bus("mail")


@orders.on_change(
    batch_size=10,
    bisect_batch_on_error=True,
    retry_attempts=3,
    on_failure=app.queue("not-told"),
    filters=[{"eventName": ["INSERT"]}, {"dynamodb": {"NewImage": {"state": {"S": ["sent"]}}}}],
)
@app.function(timeout=30)
@allow("sqs:SendMessage", on=warehouse)
@allow("events:PutEvents", on=mail)
def notify(event, context):
    """Pass on what is new, and what was sent."""
    for record in event["Records"]:
        order = record["dynamodb"]["NewImage"]
        if record["eventName"] == "INSERT":
            warehouse.send(order["id"]["S"])
        else:
            detail = {"order": order["id"]["S"], "customer": order["customer"]["S"]}
            mail.put(source="orders", detail_type="sent", detail=detail)


@mail.on({"source": ["orders"], "detail-type": ["sent"]}, input_path="$.detail")
@app.function
def write_to_customer(event, context):
    """Write a letter; here it is only printed."""
    print(f"Dear {event['customer']}, your order {event['order']} is on its way.")


if __name__ == "__main__":
    orders.put({"id": "A1", "customer": "ann", "state": "new"})
    orders.put({"id": "A2", "customer": "bob", "state": "new"})
    orders.update({"id": "A1"}, set={"state": "packed"})
    orders.update({"id": "A1"}, set={"state": "sent"})
    letters = [one.logs for one in app.drain() if one.function_name == "write_to_customer"]
    print("warehouse:", *sorted(message.body for message in warehouse.receive(10)))
    print(*letters)
    app.close()
