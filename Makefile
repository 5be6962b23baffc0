# The command menu. `make` alone prints it.

CARGO ?= cargo
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(SYSCONFDIR)/systemd/system
# Of the machine that it is installed for: 254 and later get a drop-in with what they can do better.
SYSTEMD_VERSION ?= $(shell systemctl --version 2>/dev/null | awk 'NR == 1 && $$2 ~ /^[0-9]+$$/ { v = $$2 } END { print v + 0 }')
# A test run or a build as root from `sudo make` finds the toolchain of root; rustup's usual place is added for both.
export PATH := $(HOME)/.cargo/bin:$(PATH):/usr/sbin:/sbin

RUN_PACKAGES := bird2 frr nftables iproute2 iputils-ping procps util-linux
TEST_PACKAGES := $(RUN_PACKAGES) perl-base exabgp frr-rpki-rtrlib stayrtr faketime systemd

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit netns leaks faults soak bench build install uninstall packages test-packages

help: ## this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: packages build ## three domains in throwaway namespaces: plan, sessions, policy, a crash; nothing left behind
	demo/run.sh target/debug/rdsup

test: test-packages lint ## everything: format, clippy, docs, unit, golden and namespace tests
	.ci/tests

lint: ## format, clippy and rustdoc, all warnings being errors
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --features failpoints -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

unit: ## the tests that need neither root nor daemons
	.ci/tests unit

netns: test-packages ## the tests on the real kernel with real daemons
	.ci/tests netns

leaks: test-packages ## everything that must not arrive, sent and looked for; then every protection switched off once
	.ci/tests leaks

faults: test-packages ## everything that must be survived, done to it; then every protection switched off once
	.ci/tests faults

SECONDS ?= 600
SEED ?=
soak: test-packages ## random faults for SECONDS=600, then nothing has grown
	$(CARGO) test --locked --features failpoints --test faults -- --soak $(SECONDS) $(SEED)

bench: test-packages ## ratios against wiring by a shell loop, latency of ctl, memory (release build)
	$(CARGO) build --locked --release
	bench/run.sh target/release/rdsup

build: ## the development build
	$(CARGO) build --locked

install: ## rdsup, its manual, completions, unit and a configuration to start from (DESTDIR, PREFIX, SYSCONFDIR)
	$(CARGO) build --locked --release
	install -D -m 0755 target/release/rdsup $(DESTDIR)$(PREFIX)/sbin/rdsup
	target/release/rdsup man --out $(DESTDIR)$(PREFIX)/share/man/man8
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	target/release/rdsup completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/rdsup
	target/release/rdsup completions zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_rdsup
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/sbin/rdsup|$(PREFIX)/sbin/rdsup|' conf/rdsup.service >$(DESTDIR)$(UNITDIR)/rdsup.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/rdsup.service
	[ "$(SYSTEMD_VERSION)" -lt 254 ] || \
		install -D -m 0644 conf/rdsup.service.d/systemd-254.conf $(DESTDIR)$(UNITDIR)/rdsup.service.d/systemd-254.conf
	install -d -m 0755 $(DESTDIR)$(SYSCONFDIR)/rdsup
	test -e $(DESTDIR)$(SYSCONFDIR)/rdsup/rdsup.toml || \
		install -m 0644 conf/rdsup.toml $(DESTDIR)$(SYSCONFDIR)/rdsup/rdsup.toml

uninstall: ## the opposite of install; the configuration stays
	rm -f $(DESTDIR)$(PREFIX)/sbin/rdsup $(DESTDIR)$(UNITDIR)/rdsup.service \
		$(DESTDIR)$(UNITDIR)/rdsup.service.d/systemd-254.conf \
		$(DESTDIR)$(PREFIX)/share/man/man8/rdsup*.8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/rdsup $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_rdsup

packages: ## the Debian packages that rdsup runs with, where they are missing
	@.ci/packages $(RUN_PACKAGES)

test-packages: ## the Debian packages that the tests use, where they are missing
	@.ci/packages $(TEST_PACKAGES)
