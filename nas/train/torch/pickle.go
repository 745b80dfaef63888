package torch

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/segnas/segnas/nas/misuse"
)

// A pickle is a program for a stack machine, which in Python may call anything. This machine knows the instructions that a state_dict needs, and
// three functions and ten classes, none of which does more than to note its arguments. Protocols 2 to 5 are read.

type (
	global  struct{ module, name string }
	tuple   []any
	list    struct{ items []any }
	dict    struct{ keys, values []any }
	storage struct{ dtype, key string }
	tensor  struct {
		storage       storage
		offset        int
		shape, stride []int
	}
	mark struct{} // on the stack
)

// storageTypes are the kinds of numbers, by the classes that torch.save names.
var storageTypes = map[string]string{
	"FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64", "LongStorage": "I64", "IntStorage": "I32",
	"ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
}

var (
	orderedDict      = global{"collections", "OrderedDict"}
	rebuildTensor    = global{"torch._utils", "_rebuild_tensor_v2"}
	rebuildParameter = global{"torch._utils", "_rebuild_parameter"}
)

func (g global) known() bool {
	return g == orderedDict || g == rebuildTensor || g == rebuildParameter || (g.module == "torch" && storageTypes[g.name] != "")
}

type unpickler struct {
	text  []byte
	at    int
	stack []any
	memo  map[uint32]any
	err   error
}

// unpickle runs a pickle and returns what it leaves.
func unpickle(text []byte) (any, error) {
	u := &unpickler{text: text, memo: map[uint32]any{}}
	for u.err == nil {
		op := u.byte()
		if u.err != nil {
			break
		}
		if op == '.' {
			v := u.pop()
			return v, u.err
		}
		u.step(op)
	}
	return nil, u.err
}

func (u *unpickler) fail(format string, args ...any) {
	if u.err == nil {
		u.err = misuse.Errorf("its pickle, at byte %d, "+format, append([]any{u.at}, args...)...)
	}
}

// step runs one instruction. Their codes are those of Python's pickletools.
func (u *unpickler) step(op byte) {
	switch op {
	case 0x80: // PROTO
		if v := u.byte(); v < 2 || v > 5 {
			u.fail("is of protocol %d; 2 to 5 are read", v)
		}
	case 0x95: // FRAME
		u.take(8)
	case 'c': // GLOBAL
		u.global(u.line(), u.line())
	case 0x93: // STACK_GLOBAL
		name, _ := u.pop().(string)
		module, _ := u.pop().(string)
		u.global(module, name)
	case '(':
		u.push(mark{})
	case 'q', 'r', 0x94: // BINPUT, LONG_BINPUT, MEMOIZE
		u.put(op)
	case 'h': // BINGET
		u.get(uint32(u.byte()))
	case 'j': // LONG_BINGET
		u.get(binary.LittleEndian.Uint32(u.take(4)))
	case 'Q': // BINPERSID
		u.persistent()
	case 'R': // REDUCE
		u.reduce()
	case 'b': // BUILD: the attributes of an OrderedDict, such as its _metadata, are of no use here
		u.pop()
	case 's': // SETITEM
		value, key := u.pop(), u.pop()
		u.set(key, value)
	case 'u': // SETITEMS
		items := u.toMark()
		for i := 0; i+1 < len(items); i += 2 {
			u.set(items[i], items[i+1])
		}
	case 'a': // APPEND
		u.append(u.pop())
	case 'e': // APPENDS
		u.append(u.toMark()...)
	default:
		u.literal(op)
	}
}

// literal runs an instruction that pushes a value.
func (u *unpickler) literal(op byte) {
	switch op {
	case '}':
		u.push(&dict{})
	case ']':
		u.push(&list{})
	case ')':
		u.push(tuple{})
	case 't':
		u.push(tuple(u.toMark()))
	case 0x85, 0x86, 0x87: // TUPLE1 to TUPLE3
		items := make(tuple, int(op-0x84))
		for i := len(items) - 1; i >= 0; i-- {
			items[i] = u.pop()
		}
		u.push(items)
	case 'X': // BINUNICODE
		u.push(string(u.take(int64(binary.LittleEndian.Uint32(u.take(4))))))
	case 0x8c: // SHORT_BINUNICODE
		u.push(string(u.take(int64(u.byte()))))
	case 'K': // BININT1
		u.push(int64(u.byte()))
	case 'M': // BININT2
		u.push(int64(binary.LittleEndian.Uint16(u.take(2))))
	case 'J': // BININT
		u.push(int64(int32(binary.LittleEndian.Uint32(u.take(4)))))
	case 0x8a: // LONG1
		u.long()
	case 'G': // BINFLOAT
		u.take(8)
		u.push(nil)
	case 'N', 0x88, 0x89: // NONE, NEWTRUE, NEWFALSE
		u.push(nil)
	default:
		u.fail("has the instruction %#02x, which no state_dict needs", op)
	}
}

// long pushes an integer of up to eight bytes, two's complement.
func (u *unpickler) long() {
	n := u.byte()
	if n > 8 {
		u.fail("has an integer of %d bytes", n)
		return
	}
	var v uint64
	digits := u.take(int64(n))
	for i, b := range digits {
		v |= uint64(b) << (8 * i)
	}
	if n > 0 && n < 8 && digits[n-1]&0x80 != 0 {
		v |= ^uint64(0) << (8 * n)
	}
	u.push(int64(v))
}

func (u *unpickler) global(module, name string) {
	g := global{module, name}
	if !g.known() {
		u.fail("wants %.100q, which is not a part of tensors: only files that hold tensors alone are read", module+"."+name)
	}
	u.push(g)
}

// persistent makes a storage of ("storage", class, key, place, numbers).
func (u *unpickler) persistent() {
	id, _ := u.pop().(tuple)
	if len(id) != 5 || id[0] != "storage" {
		u.fail("refers to something that is no storage")
		return
	}
	class, _ := id[1].(global)
	key, isText := id[2].(string)
	if storageTypes[class.name] == "" || !isText {
		u.fail("has a storage of an unknown kind")
		return
	}
	u.push(storage{storageTypes[class.name], key})
}

// reduce calls one of the known functions.
func (u *unpickler) reduce() {
	args, _ := u.pop().(tuple)
	function := u.pop()
	switch {
	case function == orderedDict && len(args) == 0:
		u.push(&dict{})
	case function == rebuildParameter && len(args) >= 1:
		u.push(args[0])
	case function == rebuildTensor && len(args) >= 4:
		s, isStorage := args[0].(storage)
		offset, isNumber := args[1].(int64)
		shape, shaped := numbers(args[2])
		stride, strided := numbers(args[3])
		if !isStorage || !isNumber || !shaped || !strided || len(shape) != len(stride) || offset != int64(int(offset)) {
			u.fail("has a tensor of an unknown make")
			return
		}
		u.push(&tensor{s, int(offset), shape, stride})
	default:
		u.fail("calls something in a way that no state_dict does")
	}
}

func numbers(v any) ([]int, bool) {
	items, ok := v.(tuple)
	all := make([]int, len(items))
	for i, item := range items {
		n, isNumber := item.(int64)
		all[i], ok = int(n), ok && isNumber && n == int64(int32(n))
	}
	return all, ok
}

func (u *unpickler) set(key, value any) {
	d, ok := u.top().(*dict)
	if !ok {
		u.fail("sets an item of what is no dict")
		return
	}
	switch key.(type) { // what Go compares without a panic
	case string, int64, nil:
		d.keys, d.values = append(d.keys, key), append(d.values, value)
	default:
		u.fail("has a dict with a key that is neither text nor number")
	}
}

func (u *unpickler) append(items ...any) {
	if l, ok := u.top().(*list); ok {
		l.items = append(l.items, items...)
		return
	}
	u.fail("appends to what is no list")
}

func (u *unpickler) put(op byte) {
	var key uint32
	switch op {
	case 'q':
		key = uint32(u.byte())
	case 'r':
		key = binary.LittleEndian.Uint32(u.take(4))
	default:
		key = uint32(len(u.memo))
	}
	u.memo[key] = u.top()
}

func (u *unpickler) get(key uint32) {
	v, found := u.memo[key]
	if !found {
		u.fail("refers to something that it does not hold")
	}
	u.push(v)
}

func (u *unpickler) push(v any) { u.stack = append(u.stack, v) }

func (u *unpickler) top() any {
	if len(u.stack) == 0 {
		u.fail("takes from an empty stack")
		return nil
	}
	return u.stack[len(u.stack)-1]
}

func (u *unpickler) pop() any {
	v := u.top()
	u.stack = u.stack[:max(0, len(u.stack)-1)]
	return v
}

// toMark takes all down to the last mark.
func (u *unpickler) toMark() []any {
	for i := len(u.stack) - 1; i >= 0; i-- {
		if _, ok := u.stack[i].(mark); ok {
			items := slices.Clone(u.stack[i+1:])
			u.stack = u.stack[:i]
			return items
		}
	}
	u.fail("lacks a mark")
	return nil
}

func (u *unpickler) byte() byte { return u.take(1)[0] }

// take returns the next n bytes; after the end zeros, and it fails.
func (u *unpickler) take(n int64) []byte {
	if n > int64(len(u.text)-u.at) {
		u.fail("is cut off")
		u.at = len(u.text)
		return make([]byte, min(n, 8))
	}
	u.at += int(n)
	return u.text[u.at-int(n) : u.at]
}

func (u *unpickler) line() string {
	n := bytes.IndexByte(u.text[u.at:], '\n')
	if n < 0 {
		u.fail("is cut off")
		return ""
	}
	return string(bytes.TrimSuffix(u.take(int64(n)+1), []byte("\n")))
}
