//go:build !segnas_system

#include "../csrc/ops/dwconv/dwconv.cc"
