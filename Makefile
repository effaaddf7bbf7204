# SPDX-License-Identifier: GPL-2.0-only

# The kernel to build for: a prepared tree with Rust metadata. `make help` says how to get one.
KDIR ?= /lib/modules/$(shell uname -r)/build
# The checks' and the tests' own kernel: see scripts/.
in_root = scripts/enter.sh --

all: modules

modules modules_install clean:
	@[ -e "$(KDIR)/rust/libkernel.rmeta" ] || [ $@ = clean ] || { \
		echo "KDIR=$(KDIR) has no Rust metadata; see 'make help'" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(if $(filter %install,$@),CONFIG_MODULE_SIG_ALL=) $@

install: modules_install

test:
	@scripts/test.sh

test-debug:
	@scripts/test.sh --debug

demo:
	@scripts/demo.sh

bench:
	@scripts/bench.sh

bench-failover:
	@scripts/bench-failover.sh

check:
	@scripts/check.sh

help:
	@sed 's/^\t//' scripts/help.txt

.PHONY: all modules modules_install install clean test test-debug demo bench bench-failover check help
