"""A Lambda function as it is deployed to AWS. It knows nothing of faaskit."""

import json

import boto3

s3 = boto3.client("s3")
sqs = boto3.client("sqs")


def handler(event, context):
    s3.create_bucket(Bucket="reports")
    s3.put_object(Bucket="reports", Key="today.json", Body=json.dumps(event).encode())
    stored = json.load(s3.get_object(Bucket="reports", Key="today.json")["Body"])
    queue = sqs.create_queue(QueueName="printed")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=f"{len(stored)} figures")
    return {"stored": stored, "queue": queue.rsplit("/", 1)[-1]}
