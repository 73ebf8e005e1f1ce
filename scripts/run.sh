#!/usr/bin/env bash
# The first minute of a stranger: starts the server, uploads a clip, shows the asset, and goes on serving.
# RUN=once stops after the show.
set -euo pipefail
cd "$(dirname "$0")/.."

data_dir=${REELHOUSE_DATA_DIR:-./reelhouse-data}
key=${REELHOUSE_API_KEY:-demo_$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')}
work=$(mktemp -d)
server=
stop() {
  trap - EXIT INT TERM
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 0' INT TERM

mkfifo "$work/out"
REELHOUSE_API_KEY=$key REELHOUSE_DATA_DIR=$data_dir REELHOUSE_LOG=${REELHOUSE_LOG:-warn} \
  ./target/debug/reelhouse serve >"$work/out" &
server=$!
exec 3<"$work/out"
read -r url <&3 || { wait "$server" || exit 1; exit 1; }

clip=$work/clip.mp4
ffmpeg -v error -nostdin -f lavfi -i testsrc2=size=1280x720:rate=25:duration=6 -f lavfi -i sine=duration=6 \
  -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac -movflags +faststart "$clip"

echo "Reelhouse serves at $url, data in $data_dir."
echo
echo "A first asset, a clip of 6 seconds:"
ask=(curl -sS --fail-with-body -H "x-api-key: $key")
created=$("${ask[@]}" "$url/v1.3/assets" -F method=direct -F enable_hls=true -F enable_thumbnail=true -F "file=@$clip")
echo "$created"
id=${created#*'"_id":"'}
id=${id%%'"'*}
echo
echo "The same, once it plays (hls.manifest_url) and shows (thumbnail.representative_url):"
for _ in $(seq 200); do
  asset=$("${ask[@]}" "$url/v1.3/assets/$id")
  case $asset in *'"status":"pending"'* | *'"status":"processing"'*) sleep 0.1 ;; *) break ;; esac
done
echo "$asset"
echo
echo "Now yours: drop it on the page at $url (the API key is $key), or"
echo "  curl $url/v1.3/assets -H 'x-api-key: $key' -F method=direct -F enable_hls=true -F file=@YOUR_FILE"
echo
if [ "${RUN:-}" = once ]; then exit 0; fi
echo "Ctrl-C stops the server; assets stay in $data_dir."
wait "$server"
