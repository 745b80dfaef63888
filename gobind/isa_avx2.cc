//go:build !segnas_system

#include "../csrc/isa/avx2.cc"
