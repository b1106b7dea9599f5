# shellcheck shell=bash
# Elasticsearch: one node from the jars on Maven Central. Its distribution is not there, so Node.java starts the server,
# RootPlugin.java answers `GET /` and DataStreamsPlugin.java `/_data_stream`; all are compiled here. What else is missing is
# in infra/README.md.

VERSION=9.2.0

install() { # TO
  local netty="$1/modules/transport-netty4"
  maven_jars "$1/lib"
  # A module has a class loader of its own, as in the distribution.
  mkdir -p "$netty" "$1/plugins"
  mv "$1"/lib/transport-netty4-*.jar "$1"/lib/netty-*.jar "$netty/"
  descriptor transport-netty4 org.elasticsearch.transport.netty4.Netty4Plugin >"$netty/plugin-descriptor.properties"
  compile "$1" Node.java "$1/lib/orderledger-node.jar"
  module "$1" rest-root RootPlugin
  module "$1" data-streams DataStreamsPlugin
}

# A module of our own, from one source file.
module() { # TO NAME CLASS
  mkdir -p "$1/modules/$2"
  compile "$1" "$3.java" "$1/modules/$2/$2.jar"
  descriptor "$2" "orderledger.local.$3" >"$1/modules/$2/plugin-descriptor.properties"
}

compile() { # TO SOURCE JAR
  local java classes="$1/classes"
  java="$(jdk)"
  "$java/bin/javac" --release 21 -proc:none -Xlint:none -XDsuppressNotes -cp "$1/lib/*" -d "$classes" \
    "$LOCAL/elasticsearch/src/orderledger/local/$2"
  "$java/bin/jar" --create --file "$3" -C "$classes" .
  rm -rf "$classes"
}

# No `modulename`: the server runs from the class path, so its modules can't be named modules of Java.
descriptor() { # NAME CLASS
  printf '%s\n' "name=$1" "description=$1" "version=$VERSION" "elasticsearch.version=$VERSION" "java.version=21" \
    "classname=$2"
}

launch() {
  local java
  java="$(jdk)/bin/java"
  mkdir -p "$DATA/conf" "$DATA/tmp"
  configure >"$DATA/conf/elasticsearch.yml"
  cp "$LOCAL/elasticsearch/log4j2.properties" "$DATA/conf/"
  background "$java" -Xms"${ELASTICSEARCH_HEAP:-512m}" -Xmx"${ELASTICSEARCH_HEAP:-512m}" -XX:+UseG1GC \
    -XX:+ExitOnOutOfMemoryError -Dfile.encoding=UTF-8 -Djava.locale.providers=CLDR -Djava.io.tmpdir="$DATA/tmp" \
    -Dlog4j2.disable.jmx=true -Des.path.home="$HOME_DIR" -Des.nativelibs.path="$HOME_DIR/native" \
    -Dio.netty.noUnsafe=true -Dio.netty.noKeySetOptimization=true -Dio.netty.recycler.maxCapacityPerThread=0 \
    --enable-native-access=ALL-UNNAMED --add-modules=jdk.incubator.vector \
    -cp "$HOME_DIR/lib/*" orderledger.local.Node "$HOME_DIR" "$DATA/conf"
}

# A disk of this machine that is nearly full must not make the indices read-only.
configure() {
  cat <<YAML
cluster.name: order-ledger-local
node.name: local-1
discovery.type: single-node
network.host: 127.0.0.1
http.port: $(port 9200)
transport.port: $(port 9300)
path.data: $DATA/data
path.logs: $DATA/logs
cluster.routing.allocation.disk.threshold_enabled: false
YAML
}

# The answer is held back until every index of before is there again, but not for ever: 408 says that one stays away, and
# one that somebody broke must not make the others unusable.
ready() {
  local status
  status="$(http_status "$(port 9200)" "/_cluster/health?wait_for_status=yellow&timeout=10s")" || return 1
  [[ "$status" == 200 || "$status" == 408 ]]
}

address() {
  echo "http://127.0.0.1:$(port 9200)"
}

ports() {
  port 9200
  port 9300
}
