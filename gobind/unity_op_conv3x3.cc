//go:build !segnas_system

#include "../csrc/ops/conv3x3/conv3x3.cc"
