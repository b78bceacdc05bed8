"""
Count the pages that are looked at, minute by minute: a tumbling window over a stream.

Run it: ``python examples/clickstream.py``. The clock is one that is moved by hand, so that an
hour passes in a second; without ``clock=`` it all happens in real time, under ``app.run()``.
"""

import base64

from faaskit import App, allow
from faaskit.testing import FakeClock

clock = FakeClock("2026-01-01T12:00:00Z")
app = App("clickstream", clock=clock)
clicks = app.stream("clicks", shards=2)
visits = app.table("visits", partition_key="minute", sort_key="page")


@clicks.on_records(batch_size=100, tumbling_window=60)
@app.function(timeout=30)
@allow("dynamodb:UpdateItem", on=visits)
def count(event, context):
    """Add a batch to the counts of its minute; write them down when the minute is over."""
    counts = event["state"]
    for record in event["Records"]:
        page = base64.b64decode(record["kinesis"]["data"]).decode()
        counts[page] = counts.get(page, 0) + 1
    if event["isFinalInvokeForWindow"]:
        # Each shard has a window of its own, so the counts are added up.
        for page, number in counts.items():
            where = {"minute": event["window"]["start"], "page": page}
            visits.update(where, add={"visits": number})
    return {"state": counts}


if __name__ == "__main__":
    for _ in range(3):
        for visitor in range(40):
            page = "/" if visitor % 4 else "/pay"
            clicks.put(page, partition_key=f"visitor {visitor}")
        clock.advance(minutes=1)
        for invocation in app.drain():
            invocation.result()  # an error, if there was one
    for item in visits.scan():
        print(item["minute"], item["page"], item["visits"])
    app.close()
