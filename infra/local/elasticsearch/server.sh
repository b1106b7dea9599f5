# shellcheck shell=bash
# Elasticsearch: one node from the jars on Maven Central. Its distribution is not there, so Node.java starts the server
# and RootPlugin.java answers `GET /`; both are compiled here. What else is missing is in infra/README.md.

VERSION=9.2.0

install() {
  local java netty="$HOME_DIR/modules/transport-netty4" root="$HOME_DIR/modules/rest-root"
  java="$(jdk)"
  maven_jars "$HOME_DIR/lib"
  # A module has a class loader of its own, as in the distribution.
  mkdir -p "$netty" "$root" "$HOME_DIR/plugins"
  mv "$HOME_DIR"/lib/transport-netty4-*.jar "$HOME_DIR"/lib/netty-*.jar "$netty/"
  descriptor transport-netty4 org.elasticsearch.transport.netty4.Netty4Plugin >"$netty/plugin-descriptor.properties"
  compile Node.java "$HOME_DIR/lib/orderledger-node.jar"
  compile RootPlugin.java "$root/rest-root.jar"
  descriptor rest-root orderledger.local.RootPlugin >"$root/plugin-descriptor.properties"
}

compile() { # SOURCE JAR
  local classes="$HOME_DIR/classes"
  "$java/bin/javac" --release 21 -proc:none -Xlint:none -XDsuppressNotes -cp "$HOME_DIR/lib/*" -d "$classes" \
    "$LOCAL/elasticsearch/src/orderledger/local/$1"
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

# `wait_for_status` holds the answer back until every shard of before is there again.
ready() {
  local health
  health="$(http_get "$(port 9200)" "/_cluster/health?wait_for_status=yellow&timeout=2s")" || return 1
  [[ "$health" == *'"timed_out":false'* ]]
}

address() {
  echo "http://127.0.0.1:$(port 9200)"
}

ports() {
  port 9200
  port 9300
}
