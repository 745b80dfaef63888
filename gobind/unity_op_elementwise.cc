//go:build !segnas_system

#include "../csrc/ops/elementwise/elementwise.cc"
