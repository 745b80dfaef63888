# Go users need none of this: go run ./tools/search and go test ./... compile what they use. Targets below build libsegnas for C and
# C++ users, check the kernels, and keep the tree in order.
BUILD     ?= build
TYPE      ?= Release
PREFIX    ?= /usr/local
JOBS      ?= $(shell nproc)
BENCH     ?= .
BENCHTIME ?= 1s
NVCC      ?= nvcc
EVERY     ?= 8
QEMU_AARCH64 ?= qemu-aarch64 -L /usr/aarch64-linux-gnu
CUDA_ARCHS ?= # what nvcc offers of 75 80 86 89 90a

CMAKE_GENERATE = cmake -S . -DCMAKE_BUILD_TYPE=$(TYPE) $(if $(shell command -v ninja),-G Ninja)

CMAKE_GENERATE_CUDA = cmake -S cuda $(if $(shell command -v ninja),-G Ninja) -DSEGNAS_NVCC=$(NVCC)
define FIND_NVCC
@command -v $(NVCC) >/dev/null || { echo "make $@: there is no $(NVCC): install the CUDA toolkit, 12.0 or later, and put its bin folder on PATH, or \
type NVCC=\$$(cuda/wheels.sh .venv/cuda) make $@" >&2; exit 1; }
endef

.DEFAULT_GOAL := help
.PHONY: help lib install cuda cuda-all test opcheck sim aarch64 bundle bench bench-peers sanitize race fmt lint stamp clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

lib: stamp ## build libsegnas.so and libsegnas.a with CMake, in BUILD/lib (BUILD=build)
	$(CMAKE_GENERATE) -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS) --target segnas segnas_static

install: lib ## install libraries, headers, pkg-config file and CMake package to PREFIX (PREFIX=/usr/local)
	cmake --install $(BUILD) --prefix $(PREFIX)
	@if [ -f $(BUILD)/lib/libsegnas_cuda.so ]; then install -v -m 644 $(BUILD)/lib/libsegnas_cuda.so $(PREFIX)/lib/; fi

cuda: stamp ## build libsegnas_cuda.so, the CUDA plug-in, in BUILD/lib (NVCC=nvcc; CUDA_ARCHS="75 80 86 89 90a")
	$(FIND_NVCC)
	$(CMAKE_GENERATE_CUDA) -B $(BUILD)/cuda/plugin -DSEGNAS_CUDA_LIBRARY_DIR=$(abspath $(BUILD))/lib -DSEGNAS_CUDA_ARCHS="$(CUDA_ARCHS)"
	cmake --build $(BUILD)/cuda/plugin --parallel $(JOBS) --target segnas_cuda

cuda-all: lib ## compile every kernel for 7.5 and 9.0a, report registers and spills, test that the plug-in loads
	$(FIND_NVCC)
	$(CMAKE_GENERATE_CUDA) -B $(BUILD)/cuda/all -DSEGNAS_CUDA_ARCHS="75;90a" -DSEGNAS_CUDA_REPORT=$(abspath $(BUILD))/cuda/registers.txt \
		-DSEGNAS_LIBRARY=$(abspath $(BUILD))/lib/libsegnas.so
	cmake --build $(BUILD)/cuda/all --parallel $(JOBS)
	cmake --build $(BUILD)/cuda/all --target registers
	ctest --test-dir $(BUILD)/cuda/all --output-on-failure

test: stamp ## run every Go test, then opcheck
	go test ./...
	@$(MAKE) --no-print-directory opcheck

opcheck: stamp ## check every operation against its double-precision reference, on every instruction set of this machine
	$(CMAKE_GENERATE) -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS) --target opcheck
	$(BUILD)/bin/opcheck --jobs $(JOBS) --support csrc/test/support.golden

sim: stamp ## run the CUDA kernels on the CPU: their language's own test, then every operation as opcheck does (no GPU, no nvcc)
	$(CMAKE_GENERATE) -B $(BUILD)
	cmake --build $(BUILD) --parallel $(JOBS) --target opcheck segnas_sim sim_test
	$(BUILD)/bin/sim_test
	$(BUILD)/bin/opcheck --backend sim --jobs $(JOBS) --support csrc/test/support.golden

# Emulated, all rows on NEON take twenty minutes: each EVERYth of every operation, and of those each fourth in plain C++, which is known from other processors.
aarch64: stamp ## build libsegnas for aarch64 in BUILD/aarch64 with Debian's cross compiler, and run opcheck under qemu-user (EVERY=8)
	$(CMAKE_GENERATE) -B $(BUILD)/aarch64 -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake
	cmake --build $(BUILD)/aarch64 --parallel $(JOBS) --target segnas segnas_static opcheck
	$(QEMU_AARCH64) $(BUILD)/aarch64/bin/opcheck --isa neon --every $(EVERY)
	$(QEMU_AARCH64) $(BUILD)/aarch64/bin/opcheck --isa scalar --every $$((4 * $(EVERY)))

bundle: stamp ## pack tools, tests and the plug-in's sources into BUILD/bundle(.tar.gz), for a machine with no Go and no network (TARGET=aarch64: into BUILD/aarch64)
	JOBS=$(JOBS) tools/bundle/pack.sh $(BUILD) $(TARGET)

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
