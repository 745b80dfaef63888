//go:build !segnas_system

#include "../csrc/isa/avx512vnni.cc"
