# The front door. Each word here is one line of what to do; the work is in meson.build, tools/ and tests/.
BUILD ?= build
ONCE ?=

.PHONY: all run test test-unit bench fuzz install clean packages-build packages-test

all: packages-build $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja: | packages-build
	@meson setup $(BUILD) >/dev/null

packages-build:
	@tools/packages/install build

packages-test:
	@tools/packages/install build test

run: all
	@BUILD=$(BUILD) ONCE=$(ONCE) tools/first-run

test: packages-test
	@tests/run

test-unit: packages-test
	@tests/run --unit

bench: all
	@BUILD=$(BUILD) bench/quick

fuzz: packages-test
	@tests/fuzz

install: all
	@meson install -C $(BUILD) --quiet
	@tools/make-users

clean:
	@rm -rf $(BUILD) build-*
