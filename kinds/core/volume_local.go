package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// The volumes that a node makes by itself, or from objects of the API.

func emptyDir() *rules.Set {
	return rules.Of[corev1.EmptyDirVolumeSource](rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.EmptyDirVolumeSource) {
		if v.SizeLimit != nil && v.SizeLimit.Sign() < 0 {
			c.Add(field.Forbidden(c.At("sizeLimit"), "SizeLimit field must be a valid resource quantity"))
		}
	})))
}

// HostPath are the rules of a directory or file of the node.
func HostPath() *rules.Set {
	return rules.Of[corev1.HostPathVolumeSource](
		rules.At("path", rules.Required()),
		rules.At("path", rules.Optional(), noBacksteps()),
		rules.At("type", rules.Default("")),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.HostPathVolumeSource) {
			if v.Path != "" && v.Type != nil {
				checkHostPathType(c, *v.Type)
			}
		})),
	)
}

func checkHostPathType(c *rules.Checker, t corev1.HostPathType) {
	known := []corev1.HostPathType{
		corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate,
		corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket,
	}
	for _, k := range known {
		if t == k {
			return
		}
	}
	c.Add(field.NotSupported(c.At("type"), t, known))
}

func gitRepo() *rules.Set {
	return rules.Of[corev1.GitRepoVolumeSource](rules.At("repository", rules.Required()), rules.At("directory", descending()))
}

func secretVolume() *rules.Set {
	return rules.Of[corev1.SecretVolumeSource](
		rules.At("secretName", rules.Required()),
		rules.At("defaultMode", rules.Default(corev1.SecretVolumeSourceDefaultMode), fileMode()),
		rules.At("items", rules.Each(keyToPath())),
	)
}

func configMapVolume() *rules.Set {
	return rules.Of[corev1.ConfigMapVolumeSource](
		rules.At("name", rules.Required()),
		rules.At("defaultMode", rules.Default(corev1.ConfigMapVolumeSourceDefaultMode), fileMode()),
		rules.At("items", rules.Each(keyToPath())),
	)
}

func keyToPath() *rules.Set {
	return rules.Of[corev1.KeyToPath](
		rules.At("key", rules.Required()),
		rules.At("path", rules.Required(), localPath()),
		rules.At("mode", fileMode()),
	)
}

func claimVolume() *rules.Set {
	return rules.Of[corev1.PersistentVolumeClaimVolumeSource](rules.At("claimName", rules.Required()))
}

func ephemeralVolume() *rules.Set {
	return rules.Of[corev1.EphemeralVolumeSource](rules.At("volumeClaimTemplate", rules.Required(), ClaimTemplate()))
}

func imageVolume() *rules.Set {
	return rules.Of[corev1.ImageVolumeSource](
		rules.At("", rules.Fill(func(v *corev1.ImageVolumeSource) {
			if v.PullPolicy == "" {
				v.PullPolicy = pullPolicyFor(v.Reference)
			}
		})),
		rules.At("reference", rules.Check(func(c *rules.Checker, v, _ *string) {
			if *v == "" && factsOf(c).standsAlone {
				c.Add(field.Required(c.Path(), "")) // A template may leave it to the kind that makes pods of it.
			}
		})),
		rules.At("pullPolicy", pullPolicy()),
	)
}

// downwardAPI are the rules of files with facts about the pod. What is wrong with one is reported at the path of all.
func downwardAPI() *rules.Set {
	return rules.Of[corev1.DownwardAPIVolumeSource](
		rules.At("defaultMode", rules.Default(corev1.DownwardAPIVolumeSourceDefaultMode), fileMode()),
		rules.At("items", rules.Fill(fillDownwardFiles)),
		rules.At("", rules.Check(func(c *rules.Checker, v, _ *corev1.DownwardAPIVolumeSource) {
			for i := range v.Items {
				rules.In(c, downwardFile(), &v.Items[i], nil)
			}
		})),
	)
}

func fillDownwardFiles(items *[]corev1.DownwardAPIVolumeFile) {
	for i := range *items {
		rules.FillIn(downwardFile(), &(*items)[i])
	}
}

func newDownwardFile() *rules.Set {
	return rules.Of[corev1.DownwardAPIVolumeFile](
		rules.At("path", rules.Required()),
		rules.At("path", localPath()),
		rules.At("fieldRef", fieldRef("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")),
		rules.At("", rules.Check(checkDownwardSource)),
		rules.At("mode", fileMode()),
	)
}

func checkDownwardSource(c *rules.Checker, v, _ *corev1.DownwardAPIVolumeFile) {
	switch {
	case v.FieldRef != nil && v.ResourceFieldRef != nil:
		c.Add(field.Invalid(c.Path(), "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
	case v.FieldRef == nil && v.ResourceFieldRef == nil:
		c.Add(field.Required(c.Path(), "one of fieldRef and resourceFieldRef is required"))
	case v.ResourceFieldRef != nil:
		rules.In(c, volumeResourceField(), v.ResourceFieldRef, nil, "resourceFieldRef")
	}
}
