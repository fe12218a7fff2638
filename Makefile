# The front door. Each word here is one line of what to do; the work is in meson.build, tools/ and tests/.
BUILD ?= build
ONCE ?=
PREFIX ?= /usr/local

.PHONY: all help run test test-unit bench fuzz docs install clean packages-build packages-test

all: packages-build $(BUILD)/build.ninja ## build (into ./build)
	@ninja -C $(BUILD) --quiet

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /    make \1\t/p' Makefile | expand -t 24

run: all ## build, start on loopback port 2525, send a first message; Ctrl-C ends. ONCE=1: end after that message
	@BUILD=$(BUILD) ONCE=$(ONCE) tools/first-run

test: packages-test ## everything that can be tested on one machine; the last line is `N passed, N failed'
	@tests/run

test-unit: packages-test ## unit tests only: gcc, clang, sanitizers
	@tests/run --unit

bench: all packages-test ## how fast it is here
	@BUILD=$(BUILD) bench/quick

fuzz: packages-test ## each parser against octets that it did not expect
	@tests/fuzz

docs: all ## write those parts of docs/ that come from the code
	@tools/docs-generate $(BUILD)

install: all ## programs, man pages, systemd unit, users, /etc/mta/mta.conf if absent. PREFIX=/usr/local, DESTDIR=
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@out=$$(ninja -C $(BUILD) 2>&1) || { echo "$$out" >&2; exit 1; }
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild --quiet
	@DESTDIR=$(DESTDIR) tools/make-users

clean: ## remove what was built
	@rm -rf $(BUILD) build-*

$(BUILD)/build.ninja: | packages-build
	@echo "Bulkhead is being built in $(BUILD): a minute or two, the first time"
	@out=$$(meson setup $(BUILD) --prefix=$(PREFIX) --buildtype=debugoptimized 2>&1) || { echo "$$out" >&2; exit 1; }

packages-build:
	@tools/packages/install build

packages-test:
	@tools/packages/install build test
