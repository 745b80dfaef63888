package data

// view says which part of a scaled picture the output shows: the picture is stretched to scaledH x scaledW, and output pixel
// (0, 0) lies at (top, left) of it. Where the output reaches beyond the picture it is padding. flip mirrors the output.
type view struct {
	h, w             int
	scaledH, scaledW int
	top, left        int
	flip             bool
}

// resampler cuts views out of samples: bilinear with half-pixel centres for pictures, nearest for labels. Only what the view
// shows is computed. Pictures shrunk to half or less are first averaged over whole blocks of pixels, as plain bilinear would
// skip pixels and alias.
type resampler struct {
	cols    []tap
	rows    [2][]uint16 // two source rows resampled along themselves, values times 256
	rowIs   [2]int      // which source rows they are, -1 for none
	reduced []byte      // the block-averaged window
	nearest []int32
}

// tap is where an output pixel falls between two source pixels.
type tap struct {
	a, b   int32 // offsets of the two, in pixels
	weight int32 // of b, in 1/256
}

// span is the range of outputs in [0, n) that lie on a picture of scaled pixels starting at offset.
func span(n, scaled, offset int) (first, end int) {
	return min(max(0, -offset), n), max(min(n, scaled-offset), 0)
}

// tapAt is where the middle of scaled pixel p falls on a source of n pixels stretched to scaled.
func tapAt(p, scaled, n int) tap {
	// (p + 1/2) n / scaled - 1/2 in steps of 1/256, rounded down.
	pos := ((2*p+1)*n*256 - scaled*256) / (2 * scaled)
	pos = min(max(pos, 0), (n-1)*256)
	a := pos >> 8
	return tap{int32(a), int32(min(a+1, n-1)), int32(pos & 255)}
}

// source is the picture that bilinear sampling reads: the sample itself or a block-averaged window of it. Row y of it starts
// at (y-row0)*stride and its column x at (x-col0)*3.
type source struct {
	pix                []byte
	h, w               int
	row0, col0, stride int
}

// picture writes the view of a sample's picture to x, normalised.
func (r *resampler) picture(s *Sample, v view, j *jitter, x []float32) {
	y0, y1 := span(v.h, v.scaledH, v.top)
	x0, x1 := span(v.w, v.scaledW, v.left)
	if y0 >= y1 || x0 >= x1 {
		clear(x[:v.h*v.w*3])
		return
	}
	if y1-y0 < v.h || x1-x0 < v.w {
		clear(x[:v.h*v.w*3])
	}
	src := r.reduce(s, v, y0, y1, x0, x1)
	r.cols = r.cols[:0]
	for c := x0; c < x1; c++ {
		t := tapAt(v.left+c, v.scaledW, src.w)
		t.a, t.b = (t.a-int32(src.col0))*3, (t.b-int32(src.col0))*3
		r.cols = append(r.cols, t)
	}
	for i := range r.rows {
		if cap(r.rows[i]) < 3*v.w {
			r.rows[i] = make([]uint16, 3*v.w)
		}
		r.rowIs[i] = -1
	}
	if v.flip {
		x0, x1 = v.w-x1, v.w-x0
	}
	for y := y0; y < y1; y++ {
		t := tapAt(v.top+y, v.scaledH, src.h)
		top, bottom := r.row(src, int(t.a)), r.row(src, int(t.b))
		blendRow(x[(y*v.w+x0)*3:(y*v.w+x1)*3], top, bottom, uint32(t.weight), v.flip, j)
	}
}

// row resamples source row y along itself, unless it was one of the last two.
func (r *resampler) row(src source, y int) []uint16 {
	slot := y & 1 // neighbours never share a slot
	out := r.rows[slot][:3*len(r.cols)]
	if r.rowIs[slot] == y {
		return out
	}
	r.rowIs[slot] = y
	pix := src.pix[(y-src.row0)*src.stride:]
	for i, t := range r.cols {
		a, b, w := pix[t.a:t.a+3:t.a+3], pix[t.b:t.b+3:t.b+3], uint32(t.weight)
		o := out[3*i : 3*i+3 : 3*i+3]
		o[0] = uint16(uint32(a[0])*(256-w) + uint32(b[0])*w)
		o[1] = uint16(uint32(a[1])*(256-w) + uint32(b[1])*w)
		o[2] = uint16(uint32(a[2])*(256-w) + uint32(b[2])*w)
	}
	return out
}

// blendRow mixes two resampled rows into one row of normalised output, mirrored if asked.
func blendRow(x []float32, top, bottom []uint16, weight uint32, flip bool, j *jitter) {
	n := len(top) / 3
	at, step := 0, 3
	if flip {
		at, step = 3*(n-1), -3
	}
	for i := 0; i < n; i++ {
		p, q := top[3*i:3*i+3:3*i+3], bottom[3*i:3*i+3:3*i+3]
		r := int((uint32(p[0])*(256-weight) + uint32(q[0])*weight + 1<<15) >> 16)
		g := int((uint32(p[1])*(256-weight) + uint32(q[1])*weight + 1<<15) >> 16)
		b := int((uint32(p[2])*(256-weight) + uint32(q[2])*weight + 1<<15) >> 16)
		if !j.none {
			r, g, b = j.apply(r, g, b)
		}
		o := x[at : at+3 : at+3]
		o[0], o[1], o[2] = normalised[r&255], normalised[g&255], normalised[b&255]
		at += step
	}
}

// reduce averages blocks of the part of a sample that the outputs [y0,y1) x [x0,x1) show, if they shrink it to half or less.
func (r *resampler) reduce(s *Sample, v view, y0, y1, x0, x1 int) source {
	ky, kx := max(s.H/v.scaledH, 1), max(s.W/v.scaledW, 1)
	if ky == 1 && kx == 1 {
		return source{pix: s.Image, h: s.H, w: s.W, stride: 3 * s.W}
	}
	src := source{h: s.H / ky, w: s.W / kx}
	src.row0, src.col0 = int(tapAt(v.top+y0, v.scaledH, src.h).a), int(tapAt(v.left+x0, v.scaledW, src.w).a)
	rows := int(tapAt(v.top+y1-1, v.scaledH, src.h).b) + 1 - src.row0
	cols := int(tapAt(v.left+x1-1, v.scaledW, src.w).b) + 1 - src.col0
	src.stride = 3 * cols
	if cap(r.reduced) < rows*src.stride {
		r.reduced = make([]byte, rows*src.stride)
	}
	src.pix = r.reduced[:rows*src.stride]
	area := uint64(ky * kx)
	inverse := (1<<32 + area - 1) / area
	for y := 0; y < rows; y++ {
		for x := 0; x < cols; x++ {
			var sum [3]uint64
			for dy := 0; dy < ky; dy++ {
				at := 3 * (((src.row0+y)*ky+dy)*s.W + (src.col0+x)*kx)
				for p := s.Image[at : at+3*kx]; len(p) >= 3; p = p[3:] {
					sum[0] += uint64(p[0])
					sum[1] += uint64(p[1])
					sum[2] += uint64(p[2])
				}
			}
			o := src.pix[y*src.stride+3*x:]
			for k := range sum {
				o[k] = byte((sum[k] + area/2) * inverse >> 32)
			}
		}
	}
	return src
}

// labels writes the view of a sample's labels to y.
func (r *resampler) labels(s *Sample, v view, y []byte) {
	y0, y1 := span(v.h, v.scaledH, v.top)
	x0, x1 := span(v.w, v.scaledW, v.left)
	if y0 >= y1 || x0 >= x1 {
		fill(y[:v.h*v.w], Ignore)
		return
	}
	r.nearest = r.nearest[:0]
	for c := x0; c < x1; c++ {
		r.nearest = append(r.nearest, int32((2*(v.left+c)+1)*s.W/(2*v.scaledW)))
	}
	fill(y[:y0*v.w], Ignore)
	fill(y[y1*v.w:v.h*v.w], Ignore)
	for row := y0; row < y1; row++ {
		src := s.Label[(2*(v.top+row)+1)*s.H/(2*v.scaledH)*s.W:]
		out := y[row*v.w : (row+1)*v.w]
		if x1-x0 < v.w {
			fill(out, Ignore)
		}
		if v.flip {
			for i, c := range r.nearest {
				out[v.w-1-x0-i] = src[c]
			}
			continue
		}
		for i, c := range r.nearest {
			out[x0+i] = src[c]
		}
	}
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}
