//go:build !segnas_system

#include "../csrc/ops/optimiser/optimiser.cc"
