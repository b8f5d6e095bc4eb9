package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// cell is what a row has shown for one server: samples, or the reason why there
// are none.
type cell struct {
	samples []float64
	bytes   int64
	why     string
}

func (c *cell) add(value float64, bytes int64) {
	c.samples = append(c.samples, value)
	c.bytes = bytes
}

// median returns the middle sample, and false if there is none.
func (c *cell) median() (float64, bool) {
	if c == nil || c.why != "" || len(c.samples) == 0 {
		return 0, false
	}
	return middle(c.samples), true
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// line is one row of the printed table.
type line struct {
	key, text string
	format    func(float64) string
	goal      float64 // in the unit of the samples; 0 is no goal
	ratioGoal float64 // how many times less than kube-apiserver; 0 is no goal
	cells     map[string]*cell
}

func (l *line) cell(name string) *cell {
	if l.cells == nil {
		l.cells = make(map[string]*cell)
	}
	if l.cells[name] == nil {
		l.cells[name] = &cell{}
	}
	return l.cells[name]
}

func (l *line) show(name string) string {
	c := l.cells[name]
	if c == nil {
		return "not run"
	}
	if c.why != "" {
		return c.why
	}
	value, ok := c.median()
	if !ok {
		return "not run"
	}
	return l.format(value)
}

// ratio is how many times less Gatehouse needs than kube-apiserver: the middle of the ratios of the rounds, because the two samples of
// a round were taken right after each other, on a machine as busy for one as for the other. It is false where one of them was not measured.
func (l *line) ratio() (float64, bool) {
	kube, ours := l.cells[nameKube], l.cells[nameGatehouse]
	if _, ok := kube.median(); !ok {
		return 0, false
	}
	if _, ok := ours.median(); !ok {
		return 0, false
	}
	var ratios []float64
	for i := range min(len(kube.samples), len(ours.samples)) {
		if kube.samples[i] > 0 && ours.samples[i] > 0 {
			ratios = append(ratios, kube.samples[i]/ours.samples[i])
		}
	}
	if len(ratios) == 0 {
		return 0, false
	}
	return middle(ratios), true
}

func (l *line) ratioText() string {
	ratio, ok := l.ratio()
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.1fx", ratio)
}

func (l *line) ratioGoalText() string {
	if l.ratioGoal == 0 {
		return ""
	}
	text := fmt.Sprintf(">= %gx", l.ratioGoal)
	if ratio, ok := l.ratio(); ok {
		text += met(ratio >= l.ratioGoal)
	}
	return text
}

func (l *line) goalText() string {
	if l.goal == 0 {
		return ""
	}
	text := "<= " + l.format(l.goal)
	if ours, ok := l.cells[nameGatehouse].median(); ok {
		text += met(ours <= l.goal)
	}
	return text
}

func met(goal bool) string {
	if goal {
		return " (met)"
	}
	return " (missed)"
}

func (l *line) sizes() string {
	var sizes []string
	for _, name := range []string{nameKube, nameGatehouse} {
		if c := l.cells[name]; c != nil && c.bytes > 0 {
			sizes = append(sizes, fmt.Sprint(c.bytes))
		}
	}
	return strings.Join(sizes, " / ")
}

// report is everything that is printed.
type report struct {
	commit   string
	rounds   int
	pods     int
	inFlight int
	lines    []*line
	remarks  []string
}

// line returns the row with a key, adding it at the end when it is new.
func (r *report) line(key, text string, goal float64, format func(float64) string) *line {
	for _, l := range r.lines {
		if l.key == key {
			return l
		}
	}
	l := &line{key: key, text: text, goal: goal, format: format}
	r.lines = append(r.lines, l)
	return l
}

func (r *report) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s on %s, commit %s: %d pods, medians of %d rounds, server CPU per request, "+
		"%d requests under way at a time (full LISTs and APPLY: 1).\n\n",
		time.Now().UTC().Format(time.DateOnly), machine(), cmp.Or(r.commit, "unknown"), r.pods, r.rounds, r.inFlight)
	b.WriteString("| work | kube-apiserver | Gatehouse | ratio | goal of the ratio | Gatehouse goal | bytes of an answer |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, l := range r.lines {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n",
			l.text, l.show(nameKube), l.show(nameGatehouse), l.ratioText(), l.ratioGoalText(), l.goalText(), l.sizes())
	}
	for _, remark := range r.remarks {
		fmt.Fprintf(&b, "\n%s\n", remark)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func milliseconds(v float64) string {
	if v < 0.1 {
		return fmt.Sprintf("%.4f ms", v)
	}
	return fmt.Sprintf("%.3g ms", v)
}

func seconds(v float64) string { return fmt.Sprintf("%.2f s", v) }

func count(v float64) string { return fmt.Sprintf("%.0f", v) }

func mebibytes(v float64) string { return fmt.Sprintf("%.0f MiB", v) }

// machine says what the figures were measured on.
func machine() string {
	model := "unknown CPU"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d CPUs, %s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.Version())
}
