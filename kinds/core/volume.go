package core

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// volumeSource is one of the things that a volume can be.
type volumeSource struct {
	name  string // at which it is refused where there is another
	is    func(*corev1.VolumeSource) bool
	fill  func(*corev1.VolumeSource)
	check func(*rules.Checker, *corev1.VolumeSource)
}

// source is a volumeSource with the table of its type. path is where that reports, if not at the name.
func source[T any](name string, of func(*corev1.VolumeSource) *T, table *rules.Set, path ...string) volumeSource {
	if path == nil {
		path = []string{name}
	}
	return volumeSource{
		name:  name,
		is:    func(v *corev1.VolumeSource) bool { return of(v) != nil },
		fill:  func(v *corev1.VolumeSource) { rules.FillIn(table, of(v)) },
		check: func(c *rules.Checker, v *corev1.VolumeSource) { rules.In(c, table, of(v), nil, path...) },
	}
}

// volumeSources are all sources in the order in which the reference looks for them: of several the first is checked and the others are
// refused. The names and paths that differ from the fields are the reference's.
var volumeSources = sync.OnceValue(func() []volumeSource {
	type v = corev1.VolumeSource
	return []volumeSource{
		source("emptyDir", func(s *v) *corev1.EmptyDirVolumeSource { return s.EmptyDir }, emptyDir()),
		source("hostPath", func(s *v) *corev1.HostPathVolumeSource { return s.HostPath }, HostPath()),
		source("gitRepo", func(s *v) *corev1.GitRepoVolumeSource { return s.GitRepo }, gitRepo()),
		source("gcePersistentDisk", func(s *v) *corev1.GCEPersistentDiskVolumeSource { return s.GCEPersistentDisk }, GCEDisk(), "persistentDisk"),
		source("awsElasticBlockStore", func(s *v) *corev1.AWSElasticBlockStoreVolumeSource { return s.AWSElasticBlockStore }, AWSDisk()),
		source("secret", func(s *v) *corev1.SecretVolumeSource { return s.Secret }, secretVolume()),
		source("nfs", func(s *v) *corev1.NFSVolumeSource { return s.NFS }, NFS()),
		source("iscsi", func(s *v) *corev1.ISCSIVolumeSource { return s.ISCSI }, iscsi()),
		source("glusterfs", func(s *v) *corev1.GlusterfsVolumeSource { return s.Glusterfs }, glusterfs()),
		source("flocker", func(s *v) *corev1.FlockerVolumeSource { return s.Flocker }, Flocker()),
		source("persistentVolumeClaim", func(s *v) *corev1.PersistentVolumeClaimVolumeSource { return s.PersistentVolumeClaim }, claimVolume()),
		source("rbd", func(s *v) *corev1.RBDVolumeSource { return s.RBD }, rbd()),
		source("cinder", func(s *v) *corev1.CinderVolumeSource { return s.Cinder }, cinder()),
		source("cephFS", func(s *v) *corev1.CephFSVolumeSource { return s.CephFS }, cephFS(), "cephfs"),
		source("quobyte", func(s *v) *corev1.QuobyteVolumeSource { return s.Quobyte }, Quobyte()),
		source("downwarAPI", func(s *v) *corev1.DownwardAPIVolumeSource { return s.DownwardAPI }, downwardAPI(), "downwardAPI"),
		source("fc", func(s *v) *corev1.FCVolumeSource { return s.FC }, FC()),
		source("flexVolume", func(s *v) *corev1.FlexVolumeSource { return s.FlexVolume }, flexVolume()),
		source("configMap", func(s *v) *corev1.ConfigMapVolumeSource { return s.ConfigMap }, configMapVolume()),
		source("azureFile", func(s *v) *corev1.AzureFileVolumeSource { return s.AzureFile }, azureFile()),
		source("vsphereVolume", func(s *v) *corev1.VsphereVirtualDiskVolumeSource { return s.VsphereVolume }, Vsphere()),
		source("photonPersistentDisk", func(s *v) *corev1.PhotonPersistentDiskVolumeSource { return s.PhotonPersistentDisk }, Photon()),
		source("portworxVolume", func(s *v) *corev1.PortworxVolumeSource { return s.PortworxVolume }, Portworx()),
		source("azureDisk", func(s *v) *corev1.AzureDiskVolumeSource { return s.AzureDisk }, AzureDisk()),
		source("storageos", func(s *v) *corev1.StorageOSVolumeSource { return s.StorageOS }, storageOS()),
		source("projected", func(s *v) *corev1.ProjectedVolumeSource { return s.Projected }, projected()),
		source("scaleIO", func(s *v) *corev1.ScaleIOVolumeSource { return s.ScaleIO }, scaleIO()),
		source("csi", func(s *v) *corev1.CSIVolumeSource { return s.CSI }, csiVolume()),
		source("ephemeral", func(s *v) *corev1.EphemeralVolumeSource { return s.Ephemeral }, ephemeralVolume()),
		source("image", func(s *v) *corev1.ImageVolumeSource { return s.Image }, imageVolume()),
	}
})

var volume = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.Volume](
		rules.At("", rules.Check(checkVolumeSource)),
		rules.At("name", rules.Required(), label()),
	)
})

// fillVolumes makes a volume that says nothing about itself an empty directory.
func fillVolumes(list *[]corev1.Volume) {
	for i := range *list {
		v := &(*list)[i].VolumeSource
		if *v == (corev1.VolumeSource{}) {
			v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		}
		for _, s := range volumeSources() {
			if s.is(v) {
				s.fill(v)
			}
		}
	}
}

// checkVolumes lets containers know the volumes that are as they should be.
func checkVolumes(c *rules.Checker, v, _ *[]corev1.Volume) {
	if len(*v) == 0 {
		return
	}
	good := factsOf(c).volumes
	created := createdClaims(c, *v)
	for i := range *v {
		before := c.Failed()
		rules.InIndex(c, volume(), &(*v)[i], nil, i)
		name := (*v)[i].Name
		if good[name] != nil {
			c.Add(field.Duplicate(c.Path().Index(i).Child("name"), name))
		}
		if c.Failed() == before {
			good[name] = &(*v)[i]
		}
		if claim := (*v)[i].PersistentVolumeClaim; claim != nil && created[claim.ClaimName] {
			c.Add(field.Invalid(c.Path().Index(i).Child("persistentVolumeClaim", "claimName"), claim.ClaimName,
				"must not reference a PVC that gets created for an ephemeral volume"))
		}
	}
}

// createdClaims are the names of the claims that will be made for a pod. Of a template they are not known.
func createdClaims(c *rules.Checker, volumes []corev1.Volume) map[string]bool {
	pod, _ := rules.Within[corev1.Pod](c)
	if pod == nil || pod.Name == "" {
		return nil
	}
	var created map[string]bool
	for i := range volumes {
		if volumes[i].Ephemeral != nil {
			if created == nil {
				created = map[string]bool{}
			}
			created[pod.Name+"-"+volumes[i].Name] = true
		}
	}
	return created
}

func checkVolumeSource(c *rules.Checker, v, _ *corev1.Volume) {
	first := ""
	for _, s := range volumeSources() {
		switch {
		case !s.is(&v.VolumeSource):
			continue
		case first != "":
			c.Add(field.Forbidden(c.At(s.name), "may not specify more than 1 volume type"))
		default:
			first = s.name
			s.check(c, &v.VolumeSource)
		}
		checkVolumeName(c, v, s.name, first)
	}
	if first == "" {
		c.Add(field.Required(c.Path(), "must specify a volume type"))
	}
}

const maxSessionName = 64 // of an iSCSI session, which is called after the volume and the portal

// checkVolumeName are the rules of names that something else is called after.
func checkVolumeName(c *rules.Checker, v *corev1.Volume, source, first string) {
	switch source {
	case "iscsi":
		if v.ISCSI.InitiatorName != nil && len(v.Name+":"+v.ISCSI.TargetPortal) > maxSessionName {
			c.Add(field.Invalid(c.At("name"), v.Name, sessionTooLong))
		}
	case "ephemeral":
		pod, _ := rules.Within[corev1.Pod](c)
		if pod == nil || pod.Name == "" || v.Name == "" || first != source {
			return
		}
		name := pod.Name + "-" + v.Name
		for _, m := range validation.NameIsDNSSubdomain(name, false) {
			c.Add(field.Invalid(c.At("name"), v.Name, fmt.Sprintf("PVC name %q: %v", name, m)))
		}
	}
}

const sessionTooLong = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."

// checkFileKeys asks that values read from files come from directories that the pod itself fills.
func checkFileKeys(c *rules.Checker, v, _ *corev1.PodSpec) {
	var sources map[string]*corev1.Volume
	eachContainer(v, func(list string, i int, ctr *corev1.Container) {
		for j := range ctr.Env {
			from := ctr.Env[j].ValueFrom
			if from == nil || from.FileKeyRef == nil {
				continue
			}
			if sources == nil {
				sources = make(map[string]*corev1.Volume, len(v.Volumes))
				for k := range v.Volumes {
					sources[v.Volumes[k].Name] = &v.Volumes[k]
				}
			}
			p := func() *field.Path {
				return c.At(list).Index(i).Child("env").Index(j).Child("valueFrom", "fileKeyRef", "volumeName")
			}
			switch volume := sources[from.FileKeyRef.VolumeName]; {
			case volume == nil:
				c.Add(field.NotFound(p(), from.FileKeyRef.VolumeName))
			case volume.EmptyDir == nil:
				c.Add(field.Invalid(p(), from.FileKeyRef.VolumeName, "referenced volume must be of type emptyDir"))
			}
		}
	})
}

// checkResourceClaims asks that each claim of a pod names one source, under a name of its own.
func checkResourceClaims(c *rules.Checker, v, _ *[]corev1.PodResourceClaim) {
	pod, _ := rules.Within[corev1.Pod](c)
	seen := make(map[string]bool, len(*v))
	for i := range *v {
		claim := &(*v)[i]
		if pod != nil && isMirror(pod.Annotations) {
			c.Add(field.Forbidden(field.NewPath(""), "static pods do not support resource claims"))
			continue
		}
		switch {
		case claim.Name == "":
			c.Add(field.Required(c.Path().Index(i).Child("name"), ""))
		case seen[claim.Name]:
			c.Add(field.Duplicate(c.Path().Index(i).Child("name"), claim.Name))
		default:
			seen[claim.Name] = true
			for _, m := range utilvalidation.IsDNS1123Label(claim.Name) {
				c.Add(field.Invalid(c.Path().Index(i).Child("name"), claim.Name, m))
			}
		}
		switch count(claim.ResourceClaimName != nil, claim.ResourceClaimTemplateName != nil) {
		case 0:
			c.Add(field.Invalid(c.Path().Index(i), rules.Shown(claim), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
		case 2:
			c.Add(field.Invalid(c.Path().Index(i), rules.Shown(claim),
				"at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
		}
		rules.InIndex(c, resourceClaim(), claim, nil, i)
	}
}

var resourceClaim = sync.OnceValue(func() *rules.Set {
	return rules.Of[corev1.PodResourceClaim](
		rules.At("resourceClaimName", subdomain()),
		rules.At("resourceClaimTemplateName", subdomain()),
	)
})
