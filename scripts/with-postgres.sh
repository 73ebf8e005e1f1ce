#!/usr/bin/env bash
# Runs a command with a Postgres of its own, gone with it: with-postgres.sh COMMAND… In its environment are
# REELHOUSE_TEST_DATABASE, the server's URL, and REELHOUSE_TEST_PG_CTL, a pg_ctl that knows the server (`… restart`).
# REELHOUSE_TEST_FSYNC=on has it flush its commits, for what is measured.
set -euo pipefail

# Debian keeps them off the PATH.
bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
PATH="${bin:+$bin:}$PATH"
folder=$(mktemp -d)
as=()
if [ "$(id -u)" -eq 0 ]; then
  # Postgres refuses to run as root.
  as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
  chown nobody:nogroup "$folder"
fi
cd "$folder"
ctl() { "${as[@]}" pg_ctl --pgdata="$folder/data" --silent "$@"; }
end() {
  ctl --mode=immediate stop || true
  rm -rf "$folder"
}
trap end EXIT

"${as[@]}" initdb --pgdata="$folder/data" --username=postgres --auth=trust --no-sync --encoding=UTF8 --locale=C.UTF-8 >/dev/null
# Else no flushes: what is tested here is the server before it.
fsync=${REELHOUSE_TEST_FSYNC:-off}
"${as[@]}" tee -a "$folder/data/postgresql.conf" >/dev/null <<END
listen_addresses = ''
unix_socket_directories = '$folder'
max_connections = 400
fsync = $fsync
full_page_writes = $fsync
shared_buffers = 64MB
END
ctl --wait --log="$folder/log" start
chmod a+rx "$folder"
cat >"$folder/pg_ctl" <<END
#!/bin/sh
cd /
exec ${as[*]} "$(command -v pg_ctl)" --pgdata="$folder/data" --silent --wait --log="$folder/log" "\$@"
END
chmod +x "$folder/pg_ctl"
export REELHOUSE_TEST_PG_CTL="$folder/pg_ctl"
export REELHOUSE_TEST_DATABASE="postgres://postgres@localhost/postgres?host=$folder"
cd "$OLDPWD"
"$@"
