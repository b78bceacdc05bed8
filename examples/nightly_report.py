"""
Write a report each night at two, in Berlin: a schedule, a bucket, and a queue for what failed.

Run it: ``python examples/nightly_report.py``. A week passes at once, the night among it in which
the clocks go forward and two o'clock is left out.
"""

from faaskit import App, allow
from faaskit.testing import FakeClock

clock = FakeClock("2026-03-26T12:00:00Z")
app = App("reports", clock=clock)
sales, reports = app.table("sales", partition_key="id"), app.bucket("reports")


@app.schedule("cron(0 2 * * ? *)", timezone="Europe/Berlin", max_event_age=3600)
@app.function(timeout=60, memory_size=512, on_failure=app.queue("failed-reports"))
@allow("dynamodb:Scan", on=sales)
@allow("s3:PutObject", on=reports.objects("*"))
def report(event, context):
    """Add up what was sold until now."""
    total = sum(item["price"] for item in sales.scan())
    reports.put(f"{event['time'][:10]}.txt", f"sold for {total}".encode())


if __name__ == "__main__":
    for day in range(7):
        sales.put({"id": str(day), "price": 10 * (day + 1)})
        for _ in range(24):
            clock.advance(hours=1)
            app.drain()
    for found in reports.list():
        print(found.key, reports.get(found.key).body.decode())
    app.close()
