//go:build !segnas_system

#include "../csrc/ops/upsample/upsample.cc"
