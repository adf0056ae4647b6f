"""Answers a data set on a Spark cluster:

    spark-submit --conf spark.task.cpus=4 examples/spark_cluster.py /data/bundles/complexity /data/in.jsonl /data/scored

The bundle must be at the same path on the driver and on every worker, and assay installed there. A task uses as many
cores as spark.task.cpus says.
"""

import argparse

from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession

import assay


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("source", help="JSON lines, a file or a folder")
    parser.add_argument("target", help="a folder, which gets Parquet files")
    parser.add_argument("--text", default="text")
    args = parser.parse_args(words)
    spark = SparkSession.builder.getOrCreate()
    score = predict_batch_udf(
        assay.integrations.spark.predict_batch_fn(args.bundle, on_error="null"),
        return_type=assay.integrations.spark.return_type(args.bundle, on_error="null"),
        batch_size=1024,
    )
    frame = spark.read.json(args.source)
    frame.withColumn("answer", score(args.text)).select("*", "answer.*").drop("answer").write.parquet(args.target)


if __name__ == "__main__":
    main()
