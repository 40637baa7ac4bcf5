#!/bin/bash
# Plays the retrieval service: the sample sets, one line a set, on and on. Every round has request ids and queries
# of its own, so that scores are computed and not remembered.
set -euo pipefail

rounds() {
  local round=0
  while true; do
    round=$((round + 1))
    sed -e "s/\"request_id\": \"/&${round}-/" -e "s/\"query\": \"/&${round}: /" /compose/sets.jsonl
    sleep "${SETS_PAUSE_SECONDS:-2}"
  done
}

rounds | /opt/kafka/bin/kafka-console-producer.sh --bootstrap-server kafka:9092 --topic crossrank.candidates.v1
