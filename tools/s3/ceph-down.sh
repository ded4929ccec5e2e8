#!/usr/bin/env bash
# End the server of ceph-up.sh: exactly the processes it started, and its state below .s3/.
set -euo pipefail
cd "$(dirname "$0")/../.."

pids=.s3/pids
if [ -s "$pids" ]; then
    while read -r pid; do
        # a process id may have gone to somebody else since: only what runs on our configuration
        if tr '\0' ' ' < "/proc/$pid/cmdline" 2> /dev/null | grep -qF "$PWD/.s3/ceph/ceph.conf"; then
            kill -9 "$pid" 2> /dev/null || true
        fi
    done < "$pids"
fi
rm -rf .s3/ceph .s3/pids .s3/env
echo "S3 server ended"
