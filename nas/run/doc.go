// Package run turns a configuration into pieces and runs them: it is what the tools in tools/ consist of.
//
// A search goes through stages, each of which leaves its result in the run folder:
//
//	plan        config.json     what was asked for, and the counts fitted to --budget on the machine that began the run
//	table       table.jsonl     latency of every operation of the space on this device
//	supernet    supernet/       checkpoints, metrics.jsonl, and from it metrics.csv and TensorBoard's events
//	search      trace.jsonl     every evaluated network; accuracies.jsonl: their scores, for other searches of the same supernet;
//	                            known.jsonl: with --from, the scores that the search began with
//	finals      baseline/ control/ hand-scaled/ winner/: likewise, result.json
//	measuring   measured.json   the final networks in turns, and random ones against the table's predictions
//	report      winner.txt winner.json winner.safetensors result.json report.html
//
// The same command on the same folder goes on where it was stopped, killed or finished; given the same latency table, it ends bit
// for bit as if it had never been stopped. A lock keeps two processes out of one folder.
//
// Tools print results on stdout and everything else, progress first of all, on stderr. They end with code 0 when done, 1 after a
// failure, 2 after misuse (with one line that says what would be right), and 130 when interrupted, with all work saved.
package run
