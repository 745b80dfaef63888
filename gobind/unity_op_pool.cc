//go:build !segnas_system

#include "../csrc/ops/pool/pool.cc"
