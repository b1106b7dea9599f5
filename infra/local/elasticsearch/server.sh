# shellcheck shell=bash
# Elasticsearch: one node from the jars on Maven Central. Its distribution is not there, so Node.java starts the server,
# and LocalPlugin.java brings what order-ledger needs of the modules that are absent; both are compiled here. What is ours,
# and what else is missing, is in infra/README.md.

VERSION=9.2.0

install() { # TO
  local netty="$1/modules/transport-netty4"
  maven_jars "$1/lib"
  # A module has a class loader of its own, as in the distribution.
  mkdir -p "$netty" "$1/plugins"
  mv "$1"/lib/transport-netty4-*.jar "$1"/lib/netty-*.jar "$netty/"
  descriptor transport-netty4 org.elasticsearch.transport.netty4.Netty4Plugin >"$netty/plugin-descriptor.properties"
  compile "$1" "$1/lib/orderledger-node.jar" Node
  local ours="$1/modules/order-ledger-local"
  mkdir -p "$ours"
  compile "$1" "$ours/order-ledger-local.jar" LocalPlugin
  descriptor order-ledger-local orderledger.local.LocalPlugin >"$ours/plugin-descriptor.properties"
}

# A class and the others of its folder that it names.
compile() { # TO JAR CLASS
  local java classes="$1/classes" sources="$LOCAL/elasticsearch/src"
  java="$(jdk)"
  "$java/bin/javac" --release 21 -proc:none -Xlint:none -XDsuppressNotes -cp "$1/lib/*" -sourcepath "$sources" \
    -implicit:class -d "$classes" "$sources/orderledger/local/$3.java"
  "$java/bin/jar" --create --file "$2" -C "$classes" .
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
