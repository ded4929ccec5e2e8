"""Create a bucket on the server that the AWS_… variables name: ``make_bucket.py NAME``."""

import os
import sys

import boto3

client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
client.create_bucket(Bucket=sys.argv[1])
