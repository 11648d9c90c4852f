#!/bin/sh
# Makes demo/media again from nothing: node paints, ffmpeg encodes. Needs ffmpeg with libx264; takes some minutes.
set -eu
cd "$(dirname "$0")/.."
media=demo/media
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

seconds=48
rate=25
frames=$((seconds * rate))

# Every encoder below reads the same nearly lossless master, so the frames are painted once.
node tools/demo-frames.mjs film 854 480 "$frames" |
  ffmpeg -v error -y -f rawvideo -pix_fmt rgb24 -s 854x480 -r "$rate" -i - \
    -c:v libx264 -preset ultrafast -crf 4 -pix_fmt yuv420p "$work/master.mp4"

# Four slow chords over the sound of wind, faded at both ends because the film loops.
chord() { # HERTZ HERTZ HERTZ: a pad that swells and beats gently
  echo "0.11*(0.6+0.4*sin(0.52*t))*(sin(2*PI*$1*t)+0.7*sin(2*PI*$2*t+sin(0.9*t))+0.5*sin(2*PI*$3*t+sin(1.3*t)))"
}
ffmpeg -v error -y \
  -f lavfi -i "aevalsrc=$(chord 146.83 220.00 369.99):d=13" \
  -f lavfi -i "aevalsrc=$(chord 130.81 196.00 329.63):d=13" \
  -f lavfi -i "aevalsrc=$(chord 98.00 196.00 293.66):d=13" \
  -f lavfi -i "aevalsrc=$(chord 110.00 220.00 277.18):d=13" \
  -f lavfi -i "anoisesrc=color=brown:amplitude=0.05:seed=7:d=$seconds" \
  -filter_complex "[0][1]acrossfade=d=1.3:c1=qsin:c2=qsin[a];[a][2]acrossfade=d=1.3:c1=qsin:c2=qsin[b];
    [b][3]acrossfade=d=1.4:c1=qsin:c2=qsin[c];[c][4]amix=inputs=2:normalize=0,lowpass=f=1800,
    aecho=0.8:0.6:90|170:0.3|0.2,volume=9dB,afade=t=in:d=2,afade=t=out:st=$((seconds - 3)):d=3" \
  -ar 44100 -ac 2 -t "$seconds" "$work/master.wav"

# Closed groups of four seconds, one per segment; Main profile and 4:2:0 play everywhere.
h264="-c:v libx264 -profile:v main -level 3.1 -refs 4 -preset veryslow -pix_fmt yuv420p -r $rate -g $((rate * 4)) -keyint_min $((rate * 4)) -sc_threshold 0"

rm -rf "$media/film" "$media/gallery"
mkdir -p "$media/film" "$media/gallery"
# shellcheck disable=SC2086 # the options are words on purpose
ffmpeg -v error -y -i "$work/master.mp4" -i "$work/master.wav" \
  -filter_complex "[0:v]split=2[high][in];[in]scale=426:240:flags=lanczos[low]" \
  -map "[high]" -map 1:a -map "[low]" -map 1:a $h264 \
  -b:v:0 330k -maxrate:v:0 380k -bufsize:v:0 700k -b:v:1 148k -maxrate:v:1 170k -bufsize:v:1 320k \
  -c:a aac -b:a:0 64k -b:a:1 40k -map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact \
  -f hls -hls_time 4 -hls_playlist_type vod -hls_list_size 0 -hls_segment_type fmp4 \
  -hls_flags independent_segments -hls_fmp4_init_filename init.mp4 \
  -var_stream_map "v:0,a:0,name:high v:1,a:1,name:low" -master_pl_name master.m3u8 \
  -hls_segment_filename "$media/film/%v/segment-%02d.m4s" "$media/film/%v/index.m3u8"

# shellcheck disable=SC2086
ffmpeg -v error -y -i "$work/master.mp4" -i "$work/master.wav" -vf scale=640:360:flags=lanczos $h264 \
  -b:v 225k -maxrate 280k -bufsize 600k -c:a aac -b:a 56k -map_metadata -1 \
  -fflags +bitexact -flags:v +bitexact -flags:a +bitexact -movflags +faststart "$media/film/film.mp4"

picture() { # NAME DAYTIME SEED
  node tools/demo-frames.mjs picture 1600 1000 "$2" "$3" |
    ffmpeg -v error -y -f rawvideo -pix_fmt rgb24 -s 1600x1000 -i - \
      -map_metadata -1 -fflags +bitexact -q:v 3 "$media/gallery/$1.jpg"
}
picture 01-first-light 0.03 11
picture 02-morning-mist 0.12 4
picture 03-high-noon 0.28 8
picture 04-afternoon 0.45 2
picture 05-sunset 0.565 5
picture 06-lanterns 0.7 13
picture 07-northern-lights 0.82 6
picture 08-before-dawn 0.91 9

du -sh "$media"
