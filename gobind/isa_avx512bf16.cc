//go:build !segnas_system

#include "../csrc/isa/avx512bf16.cc"
