// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// Bucket is the backend of the S3 server: one bucket that can be listed and read, and nothing else.
type Bucket struct {
	name    string
	objects map[string]*Object
	keys    []string // sorted, the order of a listing
	created time.Time
}

// NewBucket holds the objects.
func NewBucket(name string, objects []*Object) *Bucket {
	b := &Bucket{name: name, objects: map[string]*Object{}, created: time.Now()}
	for _, o := range objects {
		b.objects[o.Key] = o
	}
	b.keys = slices.Sorted(maps.Keys(b.objects))
	return b
}

var _ gofakes3.Backend = (*Bucket)(nil)

// ListBuckets lists the one bucket.
func (b *Bucket) ListBuckets() ([]gofakes3.BucketInfo, error) {
	return []gofakes3.BucketInfo{{Name: b.name, CreationDate: gofakes3.NewContentTime(b.created)}}, nil
}

// BucketExists tells whether name is the bucket's.
func (b *Bucket) BucketExists(name string) (bool, error) { return name == b.name, nil }

// ListBucket lists keys by prefix and page.
func (b *Bucket) ListBucket(name string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if name != b.name {
		return nil, gofakes3.BucketNotFound(name)
	}
	if prefix == nil {
		prefix = &gofakes3.Prefix{}
	}
	list := gofakes3.NewObjectList()
	var last string
	for _, key := range b.keys {
		var match gofakes3.PrefixMatch
		switch {
		case page.HasMarker && key <= page.Marker, !prefix.Match(key, &match):
			continue
		case page.MaxKeys > 0 && int64(len(list.Contents)+len(list.CommonPrefixes)) >= page.MaxKeys:
			list.IsTruncated, list.NextMarker = true, last
			return list, nil
		case match.CommonPrefix:
			list.AddPrefix(match.MatchedPart)
		default:
			o := b.objects[key]
			list.Add(&gofakes3.Content{
				Key: key, Size: o.Size, LastModified: gofakes3.NewContentTime(b.created), ETag: `"` + hex.EncodeToString(o.ETag()) + `"`,
			})
		}
		last = key
	}
	return list, nil
}

// HeadObject describes an object.
func (b *Bucket) HeadObject(name, key string) (*gofakes3.Object, error) {
	if name != b.name {
		return nil, gofakes3.BucketNotFound(name)
	}
	o := b.objects[key]
	if o == nil {
		return nil, gofakes3.KeyNotFound(key)
	}
	return &gofakes3.Object{
		Name: key, Size: o.Size, Hash: o.ETag(), Contents: io.NopCloser(io.NewSectionReader(o, 0, 0)),
		Metadata: map[string]string{
			"Content-Type":  "binary/octet-stream",
			"Last-Modified": b.created.UTC().Format(http.TimeFormat), // s5cmd refuses any other form
		},
	}, nil
}

// GetObject opens an object, or a range of it.
func (b *Bucket) GetObject(name, key string, wanted *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	object, err := b.HeadObject(name, key)
	if err != nil {
		return nil, err
	}
	if object.Range, err = wanted.Range(object.Size); err != nil {
		return nil, err
	}
	from, length := int64(0), object.Size
	if object.Range != nil {
		from, length = object.Range.Start, object.Range.Length
	}
	object.Contents = io.NopCloser(io.NewSectionReader(b.objects[key], from, length))
	return object, nil
}

// The bucket cannot be written to.

// CreateBucket is refused.
func (b *Bucket) CreateBucket(string) error { return gofakes3.ErrNotImplemented }

// DeleteBucket is refused.
func (b *Bucket) DeleteBucket(string) error { return gofakes3.ErrNotImplemented }

// ForceDeleteBucket is refused.
func (b *Bucket) ForceDeleteBucket(string) error { return gofakes3.ErrNotImplemented }

// DeleteObject is refused.
func (b *Bucket) DeleteObject(string, string) (gofakes3.ObjectDeleteResult, error) {
	return gofakes3.ObjectDeleteResult{}, gofakes3.ErrNotImplemented
}

// DeleteMulti is refused.
func (b *Bucket) DeleteMulti(string, ...string) (gofakes3.MultiDeleteResult, error) {
	return gofakes3.MultiDeleteResult{}, gofakes3.ErrNotImplemented
}

// PutObject is refused.
func (b *Bucket) PutObject(string, string, map[string]string, io.Reader, int64, *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	return gofakes3.PutObjectResult{}, gofakes3.ErrNotImplemented
}

// CopyObject is refused.
func (b *Bucket) CopyObject(string, string, string, string, map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObjectResult{}, gofakes3.ErrNotImplemented
}
