#!/usr/bin/env bash
# A real S3 server for tests: one Ceph RADOS Gateway with one monitor and one storage daemon, all on
# loopback, all state below .s3/ in this checkout. Takes the packages from Debian when they are
# missing and it may install them. Running it again while the server is up changes nothing.
#
#   tools/s3/ceph-up.sh            start; writes .s3/env, prints the exports
#   S3_STORE=bluestore …           data on disk, kept through kill -9 (default memstore: in memory)
#   S3_PORT=7480 …                 port of the gateway, the monitor takes the next one (default:
#                                  the first free pair from 7480 on)
set -euo pipefail
cd "$(dirname "$0")/../.."
exec < /dev/null

root=$PWD/.s3
data=$root/ceph
port=${S3_PORT:-}
store=${S3_STORE:-memstore}
bucket=holdfast-test
access=HOLDFASTTESTONLY
secret=secret-of-a-loopback-test-server
conf=$data/ceph.conf
keys=$data/keyring

taken() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

answers() { taken "$port"; }

alive() {
    [ -s "$root/pids" ] || return 1
    while read -r pid; do kill -0 "$pid" 2> /dev/null || return 1; done < "$root/pids"
}

wait_for() { # wait_for SECONDS WHAT COMMAND…
    local ends=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        if [ "$SECONDS" -ge "$ends" ]; then
            echo "$what did not come up; see $data/log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

show() {
    echo "S3 server ready, bucket $bucket. To use it:"
    sed 's/^/export /' "$root/env"
}

if alive && [ -s "$root/env" ]; then
    show
    exit 0
fi

missing=
for program in radosgw ceph-mon ceph-osd ceph radosgw-admin; do
    command -v "$program" > /dev/null || missing=1
done
if [ -n "$missing" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
        echo "The S3 server needs Debian's radosgw, ceph-mon, ceph-osd and ceph-common; as root:" >&2
        echo "  apt-get update && apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        radosgw ceph-mon ceph-osd ceph-common > "${TMPDIR:-/tmp}/holdfast-ceph-install.log" 2>&1
fi

tools/s3/ceph-down.sh > /dev/null
if [ -z "$port" ]; then
    port=7480
    while taken "$port" || taken "$((port + 1))"; do port=$((port + 2)); done
elif answers; then
    echo "port $port is taken by something else: choose another S3_PORT" >&2
    exit 1
fi
rm -rf "$data"
mkdir -p "$data"/{mon,osd,run,log}
cluster=$(cat /proc/sys/kernel/random/uuid)
disk=$(cat /proc/sys/kernel/random/uuid)

cat > "$conf" << END
[global]
fsid = $cluster
mon host = [v2:127.0.0.1:$((port + 1))]
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind ipv4 = true
ms bind ipv6 = false
keyring = $keys
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
run dir = $data/run
crash dir = $data/run
admin socket = $data/run/\$name.asok
pid file = $data/run/\$name.pid
log file = $data/log/\$name.log
mon data = $data/mon
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
# a single monitor need not wait for others before it writes
paxos propose interval = 0.05
paxos min wait = 0.01
osd data = $data/osd
osd objectstore = $store
osd memory target = 1073741824
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
memstore device bytes = 4294967296
bluestore block create = true
bluestore block size = 10737418240
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw thread pool size = 64
rgw run sync thread = false
rgw relaxed s3 bucket names = true
END

quietly() { "$@" >> "$data/log/setup.out" 2>&1; }

start() { # start NAME COMMAND…: in the background, its process id kept for ceph-down.sh
    local name=$1
    shift
    setsid "$@" -c "$conf" -f > "$data/log/$name.out" 2>&1 &
    echo $! >> "$root/pids"
}

quietly ceph-authtool --create-keyring "$keys" --gen-key -n mon. --cap mon 'allow *'
quietly ceph-authtool "$keys" --gen-key -n client.admin \
    --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
quietly ceph-authtool "$keys" --gen-key -n client.rgw --cap mon 'allow rwx' --cap osd 'allow rwx'
quietly ceph-authtool "$keys" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
quietly monmaptool --create --clobber --fsid "$cluster" \
    --addv a "[v2:127.0.0.1:$((port + 1))]" "$data/monmap"
quietly ceph-mon -c "$conf" -i a --mkfs --monmap "$data/monmap" --keyring "$keys"
start mon ceph-mon -i a
quietly timeout 60 ceph -c "$conf" -s
quietly ceph -c "$conf" osd new "$disk" 0
quietly ceph -c "$conf" auth add osd.0 -i "$keys" || true
quietly ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$disk"
start osd ceph-osd -i 0
osd_is_up() { ceph -c "$conf" osd stat 2> /dev/null | grep -q '1 up'; }
wait_for 60 "the storage daemon" osd_is_up
quietly radosgw-admin -c "$conf" user create --uid=holdfast --display-name=holdfast \
    --access-key="$access" --secret-key="$secret"
start rgw radosgw -n client.rgw
wait_for 60 "the gateway" answers

cat > "$root/env" << END
AWS_ENDPOINT_URL=http://127.0.0.1:$port
AWS_ACCESS_KEY_ID=$access
AWS_SECRET_ACCESS_KEY=$secret
AWS_REGION=us-east-1
HOLDFAST_TEST_S3_URL=s3://$bucket
END
set -a
# shellcheck disable=SC1091
. "$root/env"
"${PY:-.venv/bin/python}" tools/s3/make_bucket.py "$bucket"
show
