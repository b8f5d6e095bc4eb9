package main

import (
	"flag"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/e2e/diff"
)

// options are the flags.
type options struct {
	kubeURL, kubeConfig, gatehouseURL, gatehouseConfig, gatehouseArgs string
	only, kinds, run, ignore, report, testdata                        string
	verbose                                                           bool
	perKind, workers, classes                                         int
	seed                                                              uint64
}

func (o *options) register(f *flag.FlagSet) {
	f.StringVar(&o.kubeConfig, "kube-kubeconfig", "", "kubeconfig of a running kube-apiserver; empty starts one")
	f.StringVar(&o.kubeURL, "kube-url", "", "address of the running kube-apiserver, if not the one in its kubeconfig")
	f.StringVar(&o.gatehouseConfig, "gatehouse-kubeconfig", "", "kubeconfig of a running Gatehouse; empty builds and starts one")
	f.StringVar(&o.gatehouseURL, "gatehouse-url", "", "address of the running Gatehouse, if not the one in its kubeconfig")
	f.StringVar(&o.gatehouseArgs, "gatehouse-args", strings.Join(diff.GatehouseArgs(), " "), "flags of the Gatehouse that is started, separated by spaces")
	f.StringVar(&o.only, "only", "", "sources to run, separated by commas: generated, scenarios, recorded; empty runs all")
	f.StringVar(&o.kinds, "kind", "", "kinds or scenarios to run, separated by commas, with * as in file names: apps/Deployment, batch/*, reads")
	f.StringVar(&o.run, "run", "", "show and count only cases whose \"behaviour: name\" matches this regular expression")
	f.StringVar(&o.ignore, "ignore", "", "count as equal, separated by commas: managed, order")
	f.StringVar(&o.report, "report", "", "file for all differences; empty makes a temporary one")
	f.StringVar(&o.testdata, "testdata", "testdata/diff", "directory of scenarios, seeds and accepted differences")
	f.BoolVar(&o.verbose, "v", false, "print all differences")
	f.IntVar(&o.perKind, "per-kind", 300, "about how many generated requests there are for each kind")
	f.IntVar(&o.workers, "workers", 6, "requests under way at a time")
	f.IntVar(&o.classes, "classes", 25, "how many classes of differences to print")
	f.Uint64Var(&o.seed, "seed", 1, "chooses other generated requests")
}

// wants is true for a source and a kind (or scenario) that the flags ask for.
func (o options) wants(source, kind string) bool {
	if o.only != "" && !slices.Contains(strings.Split(o.only, ","), source) {
		return false
	}
	if o.kinds == "" || kind == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(o.kinds, ","), func(pattern string) bool {
		ok, err := path.Match(pattern, kind)
		return err == nil && ok
	})
}

// ignores is true for a name that -ignore lists.
func (o options) ignores(name string) bool {
	return slices.Contains(strings.Split(o.ignore, ","), name)
}

func (o options) filter(results []diff.Result) ([]diff.Result, error) {
	if o.run == "" {
		return results, nil
	}
	pattern, err := regexp.Compile(o.run)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	return slices.DeleteFunc(results, func(r diff.Result) bool { return !pattern.MatchString(r.Behaviour + ": " + r.Name) }), nil
}
