//go:build !segnas_system

#include "../csrc/isa/neondot.cc"
