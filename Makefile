# The front door. `make` lists what it can do.
PREFIX = /usr/local
CMAKE_FLAGS =

.PHONY: help up build test check static bench fuzz docs install clean deps deps-run deps-test deps-bench peers build-asan

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

up: deps-run build ## install what is missing, build, and run a PDS with all that it needs
	@exec build/orrery -f simple-pds up $(if $(DOMAIN),--set domain=$(DOMAIN)) $(ARGS)

build: deps build/build.ninja ## build the program into build/
	@cmake --build build

test: deps-run deps-test peers build build-asan ## run every test; the last line is the totals
	@spec/run.sh $(SPECS)

check: static test ## format, layer rules, warnings as errors, sanitizers, tests

static: deps-test
	@.ci/check.sh

bench: deps-run deps-test peers deps-bench build ## measure speed and weight, beside peers
	@spec/bench/run.sh $(TABLES)

fuzz: ## feed random text to the readers for FUZZ_TIME seconds each (needs clang)
	@spec/fuzz/run.sh

docs: build ## write the manual into build/docs: one HTML page and man pages
	@build/orrery script lua/orrery/docs/write.lua build/docs meta
	@echo "build/docs/orrery.html, and man pages: man -l build/docs/man/man1/orrery.1"

install: deps build docs ## install into PREFIX (/usr/local)
	@cmake -S . -B build -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build build
	cmake --install build

clean: ## remove what was built
	rm -rf build build-asan build-fuzz

deps:
	@.ci/deps.sh build

deps-run:
	@.ci/deps.sh build run

deps-bench:
	@.ci/deps.sh build bench

deps-test:
	@.ci/deps.sh build test

peers: # without them their tests are skipped, and say so
	@.ci/peers.sh consul etcd34 etcd35 bind knot dnsmasq \
	  caddy haproxy nginx prometheus pgbouncer redis || true

build/build.ninja:
	@cmake -S . -B build -G Ninja $(CMAKE_FLAGS) >/dev/null

build-asan: deps build-asan/build.ninja
	@cmake --build build-asan

build-asan/build.ninja:
	@cmake -S . -B build-asan -G Ninja -DORRERY_SANITIZE=ON -DORRERY_WERROR=ON $(CMAKE_FLAGS) >/dev/null
