#!/bin/bash
# Creates the three topics, where they are not there yet.
set -euo pipefail

create() {
  /opt/kafka/bin/kafka-topics.sh --bootstrap-server kafka:9092 --create --if-not-exists \
    --topic "$1" --partitions "$2" --replication-factor 1 \
    --config cleanup.policy=delete "${@:3}"
}

create crossrank.candidates.v1 6 --config retention.ms=3600000 --config max.message.bytes=4194304
# Answers and dead letters may be as large as kafka.record_bytes_max.
create crossrank.context.v1 6 --config retention.ms=3600000 --config max.message.bytes=8388608
create crossrank.dead-letters.v1 1 --config retention.ms=86400000 --config max.message.bytes=8388608
