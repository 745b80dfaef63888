package run

import (
	"cmp"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/train"
)

// sizeFlag is a picture size such as 360x480: height, then width.
type sizeFlag struct{ height, width *int }

func (f sizeFlag) String() string {
	if f.height == nil {
		return ""
	}
	return strconv.Itoa(*f.height) + "x" + strconv.Itoa(*f.width)
}

func (f sizeFlag) Type() string { return "HxW" }

func (f sizeFlag) Set(text string) error {
	h, w, found := strings.Cut(text, "x")
	height, err1 := strconv.Atoi(h)
	width, err2 := strconv.Atoi(w)
	if !found || err1 != nil || err2 != nil || height < 1 || width < 1 {
		return misuse.Errorf("give height x width in pixels, such as 360x480")
	}
	*f.height, *f.width = height, width
	return nil
}

// countFlag is a positive number that may end in k, M or G.
type countFlag struct{ value *float64 }

func (f countFlag) String() string {
	if f.value == nil || *f.value == 0 {
		return ""
	}
	return strconv.FormatFloat(*f.value, 'g', 4, 64)
}

func (f countFlag) Type() string { return "count" }

func (f countFlag) Set(text string) error {
	scale := 1.0
	for suffix, s := range map[string]float64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if digits, found := strings.CutSuffix(text, suffix); found {
			text, scale = digits, s
			break
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return misuse.Errorf("give a number above 0, such as 5.5G, 900M or 120k")
	}
	*f.value = v * scale
	return nil
}

// scheduleFlag sets the number of steps of a schedule; its phases keep their proportions.
type scheduleFlag struct{ schedule *train.Schedule }

func (f scheduleFlag) String() string {
	if f.schedule == nil {
		return ""
	}
	return strconv.Itoa(f.schedule.Steps())
}

func (f scheduleFlag) Type() string { return "steps" }

func (f scheduleFlag) Set(text string) error {
	steps, err := strconv.Atoi(text)
	if err != nil || steps < len(*f.schedule) {
		return misuse.Errorf("give a number of steps, at least %d", len(*f.schedule))
	}
	*f.schedule = f.schedule.Scaled(float64(steps) / float64(f.schedule.Steps()))
	return nil
}

// ratesFlag multiplies all learning rates.
type ratesFlag struct{ schedules []*train.Schedule }

func (f ratesFlag) String() string { return "1" }
func (f ratesFlag) Type() string   { return "factor" }

func (f ratesFlag) Set(text string) error {
	factor, err := strconv.ParseFloat(text, 64)
	if err != nil || !(factor > 0) || math.IsInf(factor, 0) {
		return misuse.Errorf("give a number above 0")
	}
	for _, s := range f.schedules {
		*s = slices.Clone(*s)
		for i := range *s {
			(*s)[i].LR *= factor
		}
	}
	return nil
}

// dataFlags registers what says which pictures are used, and how large.
func dataFlags(fs *pflag.FlagSet, c *Config) {
	fs.StringVar(&c.Data, "data", c.Data, `"scenes" (drawn street scenes) or a folder of pictures`)
	pictureFlags(fs, c)
	fs.StringVar(&c.Preset, "preset", c.Preset, "settings to begin with: "+presetNames())
	fs.String("config", "", "file of settings over the preset's, as --print-config writes it; flags come last")
	fs.Bool("print-config", false, "print all settings as a file for --config, and do nothing else")
	fs.Uint64Var(&c.Seed, "seed", c.Seed, "seed of everything random")
	fs.Var(sizeFlag{&c.Height, &c.Width}, "size", "network input, height x width")
}

// searchFlags registers what shapes the supernet, the search and the finals.
func searchFlags(fs *pflag.FlagSet, c *Config) {
	fs.Var(scheduleFlag{&c.Shrinking}, "supernet-steps", "training steps of the supernet, over its three phases")
	fs.Var(bitsFlag{&c.Space.Bits}, "bits", "bit widths to search with the architecture, such as 4,6,8: the supernet learns them in a phase more, as long as its last one")
	fs.Var(scheduleFlag{&c.Retrain}, "retrain-steps", "training steps of a network cut out of the supernet")
	fs.IntVar(&c.Finalists, "finalists", c.Finalists, "best networks of the search that are retrained for a while before one is the winner; 1 takes the best")
	fs.Var(scheduleFlag{&c.Trial}, "trial-steps", "training steps of a finalist")
	fs.StringVar((*string)(&c.Supernet), "supernet", string(c.Supernet), "elastic (shared weights) or naive")
	fs.IntVar(&c.Sandwich.Networks, "sandwich", c.Sandwich.Networks, "networks that a step of the supernet trains: the largest, the smallest, others drawn; 0 draws one")
	fs.Float64Var(&c.Sandwich.Distill, "distill", c.Sandwich.Distill, "weight of the largest network's answers beside the labels in what the others of a sandwich learn, 0 to 1")
	fs.IntVar(&c.RandomChecks, "random-checks", c.RandomChecks, "networks drawn at random that each evaluation of the supernet looks at")
	fs.IntVar(&c.Search.Population, "population", c.Search.Population, "networks of the search's first generation")
	fs.IntVar(&c.Search.Pool, "pool", c.Search.Pool, "best networks that become parents")
	fs.IntVar(&c.Search.Mutants, "mutants", c.Search.Mutants, "children by mutation in a generation")
	fs.IntVar(&c.Search.Crosses, "crosses", c.Search.Crosses, "children by crossing in a generation")
	fs.IntVar(&c.Search.Generations, "generations", c.Search.Generations, "generations of the search, counting the first")
	fs.IntVar(&c.Pareto, "pareto", c.Pareto, "latencies, evenly spread up to the limit (default then: the baseline's), at each of which the best network is looked for; 0 looks at the limit alone")
	fs.IntVar(&c.Search.Screen, "predictor", c.Search.Screen, "children drawn for a place, of which the one of the highest predicted accuracy is evaluated; 0 predicts nothing")
	fs.Lookup("predictor").NoOptDefVal = "8"
	fs.Float64Var(&c.Search.ScreenSpearman, "predictor-least", c.Search.ScreenSpearman, "least rank correlation on held-out networks with which the predictor is used (default 0.7)")
	fs.Float64Var(&c.Search.Spend, "spend", c.Search.Spend, "share of the limits, 0 to 1, that a network is to use of one at least to be looked at; 0 looks at any within them")
	fs.BoolVar(&c.Search.Random, "random-search", c.Search.Random, "draw at random instead of evolving")
	fs.Var(countFlag{&c.Limits.Latency}, "limit-ms", "most predicted latency in ms (default: the baseline's / 1.2)")
	fs.Var(archFlag{&c.Limits.Like}, "limit-like", `instead: most predicted latency is this network's, "baseline", "hand" or a text such as k3e6.k5e4_k3e3.k5e4_k3e6.k3e6`)
	fs.Float64Var(&c.Limits.Margin, "limit-margin", c.Limits.Margin, "share of the latency limit that the search keeps free for errors of prediction")
	fs.Var(countFlag{&c.Limits.MACs}, "limit-macs", "most multiply-adds, such as 5.5G")
	fs.Var(countFlag{&c.Limits.Params}, "limit-params", "most parameters, such as 900k")
	fs.Var(countFlag{&c.Limits.BitOps}, "limit-bitops", "most bit operations of a network with bit widths (multiply-adds x bits of weights x bits of activations), such as 240G")
	fs.Var(countFlag{&c.Limits.Bytes}, "limit-bytes", "most bytes of the stored network, its weights at their bit widths or as float32, such as 1M")
	fs.Var(countFlag{&c.Limits.Memory}, "limit-memory", "most bytes of the deployed network's activations, such as 20M")
	fs.Var(countFlag{&c.Limits.Weights}, "limit-weights", "most bytes of the deployed network's packed weights, such as 3M")
	fs.Var(countFlag{&c.Limits.Energy}, "limit-energy", "most joules of a picture, such as 0.25, on a GPU whose card counts them")
	fs.IntVar(&c.TableRounds, "table-rounds", c.TableRounds, "measuring turns behind the latency table")
	fs.IntVar(&c.FinalRounds, "final-rounds", c.FinalRounds, "measuring turns of the final networks")
	fs.IntVar(&c.VerifyNetworks, "verify-networks", c.VerifyNetworks, "random networks to verify the latency table with; 0 for none")
}

// presetOf finds --preset, --config and --data ahead of the full parse, since they decide the other flags' defaults.
func presetOf(args []string) (Config, error) {
	ahead := pflag.NewFlagSet("", pflag.ContinueOnError)
	ahead.ParseErrorsAllowlist.UnknownFlags = true
	ahead.Usage = func() {}
	preset, file := ahead.String("preset", "", ""), ahead.String("config", "", "")
	data, cityscapes := ahead.String("data", "", ""), ahead.String(cityscapesFlag, "", "")
	ahead.BoolP("help", "h", false, "")
	if err := ahead.Parse(args); err != nil {
		return Config{}, misuse.Errorf("%w", err)
	}
	if err := oneFolder(ahead, data, *cityscapes); err != nil {
		return Config{}, err
	}
	if *file != "" {
		return readSettings(*file, *preset, *data)
	}
	return NewConfig(*preset, cmp.Or(*data, ScenesData))
}

// configPrinted prints the settings where --print-config asks for that.
func configPrinted(fs *pflag.FlagSet, c Config, s Streams) (bool, error) {
	if asked, err := fs.GetBool("print-config"); err != nil || !asked {
		return false, err
	}
	text, err := c.TOML()
	if err == nil {
		_, err = io.WriteString(s.Out, text)
	}
	return true, err
}

// parse parses a tool's arguments, which are flags alone where operands is empty; usage is printed on a request for help. Errors are misuse, or pflag.ErrHelp.
func parse(fs *pflag.FlagSet, args []string, operands string, s Streams) error {
	fs.SortFlags = false
	fs.SetOutput(s.Err)
	fs.Usage = func() {
		s.Err.Write([]byte("usage: " + fs.Name() + " [flags] " + operands + "\n" + fs.FlagUsages()))
	}
	err := fs.Parse(args)
	switch {
	case err == nil && operands == "" && fs.NArg() > 0:
		return misuse.Errorf("%q is not expected; all settings are flags", fs.Arg(0))
	case err == nil || err == pflag.ErrHelp:
		return err
	}
	return misuse.Errorf("%w; %s --help lists the flags", err, fs.Name())
}
