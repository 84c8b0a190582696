"""Amazon S3: the client, objects as seekable files, notifications and JSON documents."""
