package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// filePath is the path of a file in a volume, and what writes it where a volume has several sources.
type filePath struct{ path, source string }

func (p filePath) String() string {
	if p.source != "" {
		return fmt.Sprintf("%q (%s)", p.path, p.source)
	}
	return fmt.Sprintf("%q", p.path)
}

// overlaps is for files of one volume of which one is, or is in, another.
func (w warnings) overlaps() {
	for i := range w.spec.Volumes {
		v := &w.spec.Volumes[i]
		switch {
		case v.ConfigMap != nil:
			w.overlap(v.Name, fmt.Sprintf("ConfigMap %q", v.ConfigMap.Name), keyPaths(v.ConfigMap.Items, ""))
		case v.Secret != nil:
			w.overlap(v.Name, fmt.Sprintf("Secret %q", v.Secret.SecretName), keyPaths(v.Secret.Items, ""))
		case v.DownwardAPI != nil:
			w.overlap(v.Name, "DownwardAPI", downwardPaths(v.DownwardAPI.Items, ""))
		case v.Projected != nil:
			w.projected(v)
		}
	}
}

func (w warnings) projected(v *corev1.Volume) {
	var paths []filePath
	for _, s := range v.Projected.Sources {
		switch {
		case s == (corev1.VolumeProjection{}):
			w.say("volume %q (Projected) has no sources provided", v.Name)
		case s.ConfigMap != nil && s.ConfigMap.Items != nil:
			paths = append(paths, keyPaths(s.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", s.ConfigMap.Name))...)
		case s.Secret != nil && s.Secret.Items != nil:
			paths = append(paths, keyPaths(s.Secret.Items, fmt.Sprintf("Secret %q", s.Secret.Name))...)
		case s.DownwardAPI != nil && s.DownwardAPI.Items != nil:
			paths = append(paths, downwardPaths(s.DownwardAPI.Items, "DownwardAPI")...)
		case s.ServiceAccountToken != nil:
			paths = append(paths, filePath{s.ServiceAccountToken.Path, "ServiceAccountToken"})
		}
	}
	w.overlap(v.Name, "Projected", paths)
}

func keyPaths(items []corev1.KeyToPath, source string) []filePath {
	paths := make([]filePath, len(items))
	for i := range items {
		paths[i] = filePath{items[i].Path, source}
	}
	return paths
}

func downwardPaths(items []corev1.DownwardAPIVolumeFile, source string) []filePath {
	paths := make([]filePath, len(items))
	for i := range items {
		paths[i] = filePath{items[i].Path, source}
	}
	return paths
}

func (w warnings) overlap(volume, what string, paths []filePath) {
	paths = paths[:min(len(paths), maxCompared)]
	for i := range paths {
		p := &paths[i]
		p.path = strings.TrimRight(p.path, "/")
		for _, before := range paths[:i] {
			if p.path != "" && before.path != "" && (isIn(p.path, before.path) || isIn(before.path, p.path)) {
				w.say("volume %q (%s): overlapping paths: %s with %s", volume, what, p, before)
			}
		}
	}
}

// isIn reports whether a path is the same as a directory or below it.
func isIn(path, directory string) bool { return strings.HasPrefix(path+"/", directory+"/") }
