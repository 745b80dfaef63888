//go:build !segnas_system

#include "../csrc/ops/loss/loss.cc"
