"""The object stores of a cluster: a folder of a shared file system, or a bucket of S3."""
