# lxhost: build, install, package and test. See README.md; the words below are the whole interface.
#   make setup   install what building and testing need (Debian, as root); quick when nothing is missing
#   make         build (PROFILE=dev for a quick one)          make install DESTDIR= prefix=/usr
#   make deb     target/lxhost_VERSION_ARCH.deb               make check    everything that is tested
#   make host    boot a throw-away host with this build in it, left running; make host-sh enters it,
#                make host-down ends it                       make try      all of it, ending in a shell
#   make check-full  every host test in a machine with a kernel of its own, emulated (make check runs there
#                what needs one)                              make bench    the table of docs/bench, beside Incus
#   make fuzz    libFuzzer on every parser of hostile input in turn, without end; TARGET=name on one
PROFILE ?= release
CARGO ?= cargo
DESTDIR ?=
prefix ?= /usr
# Where zsh looks for what packages bring; site-functions outside Debian.
ZSH ?= vendor-completions

VERSION := $(shell sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
ARCH := $(shell dpkg --print-architecture 2>/dev/null || uname -m)
DEB := target/lxhost_$(VERSION)_$(ARCH).deb
OUT := target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

# The monitor is static where the musl target of this machine is installed, else dynamic.
MUSL := $(shell uname -m)-unknown-linux-musl
HAVE_MUSL := $(wildcard $(shell rustc --print sysroot)/lib/rustlib/$(MUSL)/lib)
ifneq ($(filter dev,$(PROFILE)),)
MONITOR := $(OUT)/lxhost-runtime
else ifneq ($(HAVE_MUSL),)
MONITOR := target/$(MUSL)/monitor/lxhost-runtime
MONITOR_FLAGS := --target $(MUSL)
else
MONITOR := target/monitor/lxhost-runtime
endif

.PHONY: faults all build setup install deb lab zfs host host-sh host-down try check check-quick check-full bench fuzz clean
all: build

build:
	$(CARGO) build --workspace --bin lxctl --bin lxhostd --bin lxhost-unpack --bin lxhost-runtime --profile $(PROFILE)
ifeq ($(filter dev,$(PROFILE)),)
	@$(if $(HAVE_MUSL),,echo "note: $(MUSL) is not installed for rustc, so lxhost-runtime is linked dynamically")
	$(CARGO) build -p lxhost-runtime --profile monitor $(MONITOR_FLAGS)
endif

setup:
	packaging/setup

install:
	install -D -m 0755 $(OUT)/lxctl $(DESTDIR)$(prefix)/bin/lxctl
	install -D -m 0755 -t $(DESTDIR)$(prefix)/libexec/lxhost $(OUT)/lxhostd $(OUT)/lxhost-unpack
	install -D -m 0755 $(MONITOR) $(DESTDIR)$(prefix)/libexec/lxhost/lxhost-runtime
	install -D -m 0644 -t $(DESTDIR)$(prefix)/lib/systemd/system units/systemd/*.service units/systemd/*.timer
	install -D -m 0644 -t $(DESTDIR)$(prefix)/lib/sysusers.d units/sysusers.d/lxhost.conf
	install -D -m 0644 -t $(DESTDIR)$(prefix)/lib/tmpfiles.d units/tmpfiles.d/lxhost.conf
	install -D -m 0644 -t $(DESTDIR)$(prefix)/lib/systemd/catalog units/catalog/lxhost.catalog
	install -D -m 0644 -t $(DESTDIR)$(prefix)/share/dbus-1/system-services units/dbus-1/org.lxhost1.service
	install -D -m 0644 -t $(DESTDIR)$(prefix)/share/dbus-1/system.d units/dbus-1/org.lxhost1.conf
	install -D -m 0644 -t $(DESTDIR)$(prefix)/share/polkit-1/actions units/polkit-1/org.lxhost1.policy
	install -D -m 0644 -t $(DESTDIR)$(prefix)/share/polkit-1/rules.d units/polkit-1/60-org.lxhost1.rules
	install -D -m 0644 -t $(DESTDIR)$(prefix)/lib/firewalld/zones packaging/firewalld/zones/lxhost.xml
	install -D -m 0644 -t $(DESTDIR)$(prefix)/lib/firewalld/policies packaging/firewalld/policies/*.xml
	install -D -m 0644 -t $(DESTDIR)$(prefix)/share/doc/lxhost/examples \
		units/dbus-1/lxhost-members-only.conf units/polkit-1/40-one-instance.rules.example
	install -D -m 0644 -t $(DESTDIR)$(prefix)/share/man/man8 packaging/man/lxhostd.8
	install -d $(addprefix $(DESTDIR)$(prefix)/share/,man/man1 bash-completion/completions zsh/$(ZSH) fish/vendor_completions.d)
	$(OUT)/lxctl generate man $(DESTDIR)$(prefix)/share/man/man1
	$(OUT)/lxctl generate completion bash >$(DESTDIR)$(prefix)/share/bash-completion/completions/lxctl
	$(OUT)/lxctl generate completion zsh >$(DESTDIR)$(prefix)/share/zsh/$(ZSH)/_lxctl
	$(OUT)/lxctl generate completion fish >$(DESTDIR)$(prefix)/share/fish/vendor_completions.d/lxctl.fish

deb: build
	packaging/deb/build $(PROFILE) $(DEB)

# Everything that is tested. check-quick is what needs neither root nor a host.
check: setup check-quick deb faults lab
	target/debug/lxhost-host-tests
	target/debug/lxhost-fault-tests

check-full: setup check-quick deb faults lab zfs
	target/debug/lxhost-host-tests --in full
	LXHOST_LOAD=1000 target/debug/lxhost-host-tests --in native load:
	LXHOST_RECORDS=10000 $(CARGO) test -p lxhost-tests --test sim scale::
	target/debug/lxhost-fault-tests --all

check-quick:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features lxhostd/faults -- -D warnings
	$(CARGO) test --workspace --no-fail-fast
	$(CARGO) test --workspace --test pipeline --features lxhost-engine/faults points

# The daemon with failpoints, for tests that arm them. The package's own has none.
faults:
	$(CARGO) build --workspace --bin lxhostd --features lxhostd/faults
	install -D target/debug/lxhostd target/faults/lxhostd

# The throw-away host of the tests; LAB=name has several side by side.
LAB ?= lab

lab:
	$(CARGO) build --workspace --bin lxhost-lab --bin lxhost-host-tests --bin lxhost-fault-tests --bin lxhost-ports --bin lxhost-bench --bin lab-agent
	$(CARGO) test --workspace --test kernel --test services_host --test network_host --test launcher --no-run

# The modules of ZFS for the kernel of full hosts, kept in the cache: minutes, once for each kernel. Without them tests of ZFS
# are skipped by name.
zfs: lab
	target/debug/lxhost-lab zfs

try: setup deb lab
	target/debug/lxhost-lab try

host: deb lab
	-@target/debug/lxhost-lab down $(LAB) 2>/dev/null
	target/debug/lxhost-lab up $(LAB)

host-sh:
	@target/debug/lxhost-lab sh $(LAB)

host-down:
	@target/debug/lxhost-lab down $(LAB)

# Run it on an idle machine: the figures of both are medians, but of what the machine gave them.
bench: setup deb lab
	target/debug/lxhost-bench

# What `make check` has of it is a test like others: the corpus and a fixed number of mutations.
fuzz:
	CARGO="$(CARGO)" fuzz/run $(TARGET)
