# shellcheck shell=bash
# Apache Kafka: one broker that is its own controller (KRaft), from the jars on Maven Central.

install() { # TO
  maven_jars "$1/lib"
}

launch() {
  local java
  java="$(jdk)/bin/java"
  configure >"$DATA/server.properties"
  if [[ ! -f "$DATA/log/meta.properties" ]]; then
    "$java" -cp "$HOME_DIR/lib/*" "${LOGGING[@]}" kafka.tools.StorageTool \
      format -t "$(cluster_id)" -c "$DATA/server.properties" >"$DATA/format.log" 2>&1 || {
      tail -20 "$DATA/format.log" >&2
      die "Kafka could not format $DATA/log"
    }
  fi
  background "$java" -Xms256m -Xmx"${KAFKA_HEAP:-512m}" -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError "${LOGGING[@]}" \
    -cp "$HOME_DIR/lib/*" kafka.Kafka "$DATA/server.properties"
}

ready() {
  listening "$(port 9092)"
}

address() {
  echo "kafka://127.0.0.1:$(port 9092)"
}

ports() {
  port 9092
  port 9093
}

LOGGING=(-Dorg.slf4j.simpleLogger.defaultLogLevel=warn)

cluster_id() {
  head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '='
}

# Topics are made by `order-ledger migrate`, which knows what they must promise: never by a client's mistake. With one
# broker there is nothing to replicate to, and no reason to wait for more members before a group is given its work.
configure() {
  cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$(port 9093)
listeners=PLAINTEXT://127.0.0.1:$(port 9092),CONTROLLER://127.0.0.1:$(port 9093)
advertised.listeners=PLAINTEXT://127.0.0.1:$(port 9092)
controller.listener.names=CONTROLLER
log.dirs=$DATA/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES
}
