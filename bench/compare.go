package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
)

// comparedPods is how many pods are compared between the servers.
const comparedPods = 20

// difference names the fields in which two servers hold the same pods
// differently, apart from those that must differ. None means that the pods are
// really the same.
func difference(ctx context.Context, a, b *peer, n int) ([]string, error) {
	found := make(map[string]bool)
	for i := 0; i < n; i += max(1, n/comparedPods) {
		left, err := normalPod(ctx, a, i)
		if err != nil {
			return nil, err
		}
		right, err := normalPod(ctx, b, i)
		if err != nil {
			return nil, err
		}
		diff("", left, right, found)
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func normalPod(ctx context.Context, p *peer, i int) (map[string]any, error) {
	body, err := p.client.read(ctx, call{method: http.MethodGet, path: podPath(i)})
	if err != nil {
		return nil, err
	}
	var pod map[string]any
	if err := json.Unmarshal(body, &pod); err != nil {
		return nil, fmt.Errorf("decode pod of %s: %w", p.name, err)
	}
	meta, ok := pod["metadata"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("pod of %s has no metadata", p.name)
	}
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp"} {
		delete(meta, field)
	}
	entries, _ := meta["managedFields"].([]any)
	for _, entry := range entries {
		if entry, ok := entry.(map[string]any); ok {
			delete(entry, "time")
		}
	}
	return pod, nil
}

// diff collects the paths at which two decoded JSON values are not equal.
func diff(path string, a, b any, found map[string]bool) {
	left, leftIsMap := a.(map[string]any)
	right, rightIsMap := b.(map[string]any)
	if leftIsMap && rightIsMap {
		keys := maps.Clone(left)
		maps.Copy(keys, right)
		for key := range keys {
			diff(path+"."+key, left[key], right[key], found)
		}
		return
	}
	as, aIsList := a.([]any)
	bs, bIsList := b.([]any)
	if aIsList && bIsList && len(as) == len(bs) {
		for i := range as {
			diff(path+"["+strconv.Itoa(i)+"]", as[i], bs[i], found)
		}
		return
	}
	if !reflect.DeepEqual(a, b) {
		found[path] = true
	}
}
