# A real S3 server on loopback (Debian's Ceph RADOS Gateway), and the tests against it.
.PHONY: s3-up s3-down test-s3

s3-up: $(STAMP)
	@PY=$(PY) tools/s3/ceph-up.sh

s3-down:
	@tools/s3/ceph-down.sh

test-s3: $(STAMP)
	@test -f .s3/env || { echo "no S3 server: make s3-up first" >&2; exit 1; }
	@set -a; . ./.s3/env; set +a; exec $(PY) -m pytest -m s3
