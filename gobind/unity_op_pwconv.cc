//go:build !segnas_system

#include "../csrc/ops/pwconv/pwconv.cc"
