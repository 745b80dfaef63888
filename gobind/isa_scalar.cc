//go:build !segnas_system

#include "../csrc/isa/scalar.cc"
