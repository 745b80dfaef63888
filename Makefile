# Go users need none of this: go run ./tools/search and go test ./... compile what they use. Targets below build libsegnas for C and
# C++ users, check the kernels, and keep the tree in order.
BUILD     ?= build
TYPE      ?= Release
PREFIX    ?= /usr/local
JOBS      ?= $(shell nproc)
BENCH     ?= .
BENCHTIME ?= 1s

CMAKE_GENERATE = cmake -S . -DCMAKE_BUILD_TYPE=$(TYPE) $(if $(shell command -v ninja),-G Ninja)

.DEFAULT_GOAL := help
.PHONY: help lib install cuda test opcheck sim bench bench-peers sanitize race fmt lint stamp clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

lib: stamp ## build libsegnas.so and libsegnas.a with CMake, in BUILD/lib (BUILD=build)
	$(CMAKE_GENERATE) -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS) --target segnas segnas_static

install: lib ## install libraries, headers, pkg-config file and CMake package to PREFIX (PREFIX=/usr/local)
	cmake --install $(BUILD) --prefix $(PREFIX)

cuda: ## build the CUDA plug-in (this version has no CUDA kernels)
	@command -v nvcc >/dev/null || { echo "make cuda: there is no nvcc: install the CUDA toolkit, 12.0 or later, and put its bin folder on PATH" >&2; exit 1; }
	@echo "make cuda: this version has no CUDA kernels; cuda/README.md says what a plug-in implements" >&2; exit 1

test: stamp ## run every Go test, then opcheck
	go test ./...
	@$(MAKE) --no-print-directory opcheck

opcheck: stamp ## check every operation against its double-precision reference, on every instruction set of this machine
	$(CMAKE_GENERATE) -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS) --target opcheck
	$(BUILD)/bin/opcheck --support csrc/test/support.golden

sim: stamp ## run the CUDA kernels on the CPU: their language's own test, then every operation as opcheck does (no GPU, no nvcc)
	$(CMAKE_GENERATE) -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS) --target opcheck segnas_sim sim_test
	$(BUILD)/bin/sim_test
	$(BUILD)/bin/opcheck --backend sim --support csrc/test/support.golden

bench: stamp ## time the operations; Go's benchmark format on stdout (BENCH=regexp chooses)
	@go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) ./bench

bench-peers: stamp ## time networks against other runtimes, set up in .venv (PEERS, WORKS, SIZES, THREADS, PRECISIONS choose; JSON=1)
	@bench/peers/run.sh $(if $(PEERS),--peers $(PEERS)) $(if $(WORKS),--works $(WORKS)) $(if $(SIZES),--sizes $(SIZES)) \
		$(if $(THREADS),--threads $(THREADS)) $(if $(PRECISIONS),--precisions $(PRECISIONS)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(filter-out 0,$(JSON)),--json)

sanitize: stamp ## run all C++ tests under the address and undefined-behaviour sanitizers
	$(CMAKE_GENERATE) -B $(BUILD)/sanitize -DSEGNAS_SANITIZE=address,undefined
	cmake --build $(BUILD)/sanitize --parallel $(JOBS)
	ctest --test-dir $(BUILD)/sanitize --output-on-failure

race: stamp ## run the Go tests under the race detector
	go test -race ./...

fmt: ## format Go code, and C++ code where clang-format is installed
	gofmt -w $$(git ls-files '*.go')
	@if command -v clang-format >/dev/null; then clang-format -i $$(git ls-files 'csrc/*.h' 'csrc/*.cc' 'csrc/*.c'); fi

lint: ## report unformatted Go code, go vet's findings and a stale stamp
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt would change: $$unformatted" >&2; exit 1; }
	go vet ./...
	go run ./tools/stamp --check

stamp: ## write gobind/stamp.h, the hash of the C interface (needs Go; without it the committed file stands)
	@if command -v go >/dev/null; then go run ./tools/stamp; fi

clean: ## remove what CMake built
	rm -rf $(BUILD)
