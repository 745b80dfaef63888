package run

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

const (
	bestName     = "best"
	bestPictures = 6
)

// bestAblation is no comparison: the best segmenter that the recipe at hand makes, trained as long as --scratch-steps says, with each class's IoU and
// pictures.
func bestAblation() ablation {
	return ablation{
		name: bestName, use: "the largest network of the space from scratch, trained on the training pictures and nothing else",
		columns:  []column{miouOn(reportedSplit), {"pixels", "%"}},
		variants: []variant{{name: "largest", what: "as long as --scratch-steps says", score: (*pipeline).scoreBest}},
	}
}

// scoreBest trains the network and keeps some labelled pictures in the cell's folder.
func (p *pipeline) scoreBest(ctx context.Context, name string) (cell, error) {
	a := p.cfg.Space.Largest()
	model, err := supernet.NewPlain(p.machine.context, p.net, a, p.rng(baselineWeights))
	if err != nil {
		return cell{}, err
	}
	defer model.Close()
	j := job{
		name: name, model: model, about: p.about(train.Plain, &a), schedule: p.cfg.Scratch, sample: train.Fixed(a), data: p.data.TrainAll, checks: p.cfg.Checks,
	}
	j.check = func(ctx context.Context) (train.Checked, error) {
		c, err := p.worker.Evaluate(ctx, model, a, p.all(p.data.Val))
		return train.Checked{Confusion: c}, err
	}
	if err := p.train(ctx, j); err != nil {
		return cell{}, err
	}
	c, err := p.judge(ctx, model, p.data.Val)
	if err != nil {
		return cell{}, err
	}
	samples, labels, err := p.predictions(ctx, []*finalNetwork{{Arch: a, model: model}}, bestPictures)
	if err != nil {
		return cell{}, err
	}
	classes := p.data.Val.Classes()
	for i, b := range samples {
		for part, picture := range map[string]image.Image{
			"input": pictureOf(b), "truth": data.ColourLabels(b.Y, b.H, b.W, classes), "labels": data.ColourLabels(labels[0][i], b.H, b.W, classes),
		} {
			if err := writePNG(p.folder.file(name, fmt.Sprintf("%d-%s.png", i+1, part)), picture); err != nil {
				return cell{}, err
			}
		}
	}
	c.Arch = &a
	return c, nil
}

// keptScenes reads the pictures that cells keep in their folders, those of the first seed.
func keptScenes(folder string) (scenes []report.Scene) {
	for i := range bestPictures {
		read := func(part string) image.Image {
			matches, _ := filepath.Glob(filepath.Join(folder, "*", fmt.Sprintf("%d-%s.png", i+1, part)))
			if len(matches) == 0 {
				return nil
			}
			file, err := os.Open(matches[0])
			if err != nil {
				return nil
			}
			defer file.Close()
			picture, err := png.Decode(file)
			if err != nil {
				return nil
			}
			return picture
		}
		s := report.Scene{Name: fmt.Sprintf("picture %d", i+1), Input: read("input"), Truth: read("truth")}
		labels := read("labels")
		if s.Input == nil || s.Truth == nil || labels == nil {
			break
		}
		s.Predictions = []report.Prediction{{Name: "labels", Image: labels}}
		scenes = append(scenes, s)
	}
	return scenes
}
