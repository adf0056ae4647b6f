"""Answers a data set on a Ray cluster. Start a cluster with `ray start`, then run this on its head:

    python examples/ray_cluster.py /data/bundles/complexity /data/instructions.jsonl /data/scored --workers 8 --cpus 4

Every path must exist on every machine, or be one that Ray opens itself (s3://...). Without a cluster, Ray starts one on
this machine. Leave it at least one CPU more than workers * cpus, to read the data.
"""

import argparse

import ray

import assay


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("source", help="JSON lines, a file or a folder")
    parser.add_argument("target", help="a folder, which gets Parquet files")
    parser.add_argument("--text", default="text")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cpus", type=float, default=1, help="of each worker")
    args = parser.parse_args(words)
    data = ray.data.read_json(args.source)
    answered = data.map_batches(
        assay.integrations.ray.Annotator,
        # On the driver, so that every worker loads the same bundle.
        fn_constructor_kwargs=assay.integrations.ray.pin_arguments(args.bundle, text=args.text, on_error="null"),
        compute=ray.data.ActorPoolStrategy(size=args.workers),
        num_cpus=args.cpus,
        batch_size=1024,
    )
    answered.write_parquet(args.target)


if __name__ == "__main__":
    main()
